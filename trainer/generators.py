"""Random generators in the checkpoint, one set per rank."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import distributed


class GeneratorCallback(Callback):
    """Stores torch's generators, so that dropout goes on as if nothing had happened.

    Resumed on another number of ranks, generators keep the state that seeding gave them: no order
    of old generators would be right.
    """

    def __init__(self) -> None:
        self._restored: list[dict[str, Any]] | None = None

    def state_dict(self) -> dict[str, Any]:
        own: dict[str, Any] = {"cpu": torch.get_rng_state()}
        if torch.cuda.is_available():
            own["cuda"] = torch.cuda.get_rng_state()
        if not distributed.is_initialized():
            return {"ranks": [own]}
        ranks: list[Any] = [None] * distributed.get_world_size()
        distributed.all_gather_object(ranks, own)
        return {"ranks": ranks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._restored = state_dict["ranks"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._restored is None or len(self._restored) != trainer.world_size:
            return
        own = self._restored[trainer.global_rank]
        torch.set_rng_state(own["cpu"])
        if "cuda" in own and torch.cuda.is_available():
            torch.cuda.set_rng_state(own["cuda"])
