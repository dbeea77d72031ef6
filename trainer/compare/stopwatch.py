"""How long the steps of a run take, signals and policy included, validation excluded."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from trainer.summary import write_json

FILE_NAME = "seconds.json"


class Stopwatch(Callback):
    """Writes seconds and steps to ``seconds.json`` at the end of training.

    What a killed run trained after its last checkpoint counts neither as seconds nor as steps, for
    it is trained again.

    Args:
        folder: The run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._seconds, self._steps = 0.0, 0
        self._since, self._step = 0.0, 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since, self._step = time.perf_counter(), trainer.global_step

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        now, step = time.perf_counter(), trainer.global_step
        self._seconds += now - self._since
        self._steps += step - self._step
        self._since, self._step = now, step

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._since = time.perf_counter()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.is_global_zero:
            write_json(self._folder / FILE_NAME, {"seconds": self._seconds, "steps": self._steps})

    def state_dict(self) -> dict[str, Any]:
        return {"seconds": self._seconds, "steps": self._steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._seconds, self._steps = state_dict["seconds"], state_dict["steps"]


def seconds_per_step(folder: Path) -> float | None:
    """What the stopwatch of a finished run found; None if there was none."""
    path = folder / FILE_NAME
    if not path.is_file():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return float(found["seconds"]) / found["steps"] if found["steps"] else None
