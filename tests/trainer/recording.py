"""A callback and policies that runs of the tests name in their configuration."""

from __future__ import annotations

import json
import time
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer

from policies import Decision, Policy, Task


class Recorder(Callback):
    """Writes down each batch, the weights it was drawn at and its losses, to the bit."""

    def __init__(self, folder: Path, pause: float = 0.0) -> None:
        self._folder, self._pause = folder, pause

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        time.sleep(self._pause)
        entry = {
            "batch": batch_idx,
            "tokens": zlib.crc32(batch.tokens.numpy().tobytes()),
            "rows": list(zip(*(part.tolist() for part in batch[1:]), strict=True)),
            "weights": trainer.datamodule.mixture.in_force.tobytes().hex(),
            "losses": outputs["losses"].numpy().tobytes().hex(),
        }
        self._folder.mkdir(parents=True, exist_ok=True)
        with (self._folder / f"rank{trainer.global_rank}.jsonl").open("a") as file:
            file.write(json.dumps(entry) + "\n")


class Count(NamedTuple):
    num_domains: int


class Spoiler(Callback):
    """Makes the gradients of one step NaN."""

    def __init__(self, step: int) -> None:
        self._step = step

    def on_after_backward(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.global_step == self._step:
            for parameter in pl_module.parameters():
                if parameter.grad is not None:
                    parameter.grad[0] = float("nan")


@dataclass(frozen=True, kw_only=True)
class OneAtATime(Policy):
    """All weight on one domain, another one at every step."""

    def init(self, task: Task) -> Count:
        return Count(task.num_domains)

    def decide(self, state: Count, step: int) -> Decision:
        return Decision(np.eye(state.num_domains)[step * 7 % state.num_domains])


@dataclass(frozen=True, kw_only=True)
class Broken(OneAtATime):
    """Answers NaN from one step on."""

    since: int = 0

    def decide(self, state: Count, step: int) -> Decision:
        if step < self.since:
            return super().decide(state, step)
        return Decision(np.full(state.num_domains, np.nan))
