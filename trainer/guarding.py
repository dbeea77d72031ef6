"""Steps whose gradients are not finite are skipped, without making a device wait to find out."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, distributed
from torch.distributed.tensor import DTensor
from torch.optim import Optimizer


class FiniteStepsCallback(Callback):
    """Skips an optimiser step if any gradient is NaN or infinite, and counts such steps.

    The fused optimisers look at ``found_inf``, which a gradient scaler sets for them, on the
    device. So the host need not know, and nothing waits. Runs that have a gradient scaler
    (``16-mixed``) are left to it.
    """

    def __init__(self) -> None:
        self._skipped: Tensor | None = None
        self._before = 0

    @property
    def skipped(self) -> int:
        """Steps skipped so far; reading it waits for the device."""
        return self._before + (0 if self._skipped is None else int(self._skipped.item()))

    def on_before_optimizer_step(
        self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer
    ) -> None:
        if getattr(trainer.precision_plugin, "scaler", None) is not None:
            return
        gradients = [p.grad for p in pl_module.parameters() if p.grad is not None]
        found = not_finite(gradients, trainer.world_size)
        optimizer.found_inf = found  # type: ignore[attr-defined]
        self._skipped = found if self._skipped is None else self._skipped + found

    def state_dict(self) -> dict[str, Any]:
        return {"skipped": self.skipped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._before, self._skipped = state_dict["skipped"], None


def not_finite(gradients: list[Tensor], num_ranks: int) -> Tensor:
    """One if anything in these gradients is NaN or infinite, else zero; float32 on their device.

    Sharded gradients are looked at on every rank, so that all ranks come to the same answer.
    """
    sharded = any(isinstance(gradient, DTensor) for gradient in gradients)
    local = [g.to_local() if isinstance(g, DTensor) else g for g in gradients]
    # The largest entry tells as much as the sum of squares does and cannot overflow.
    norms = torch.stack(torch._foreach_norm([g for g in local if g.numel()], float("inf")))
    found = (~torch.isfinite(norms)).any().float()
    if sharded and num_ranks > 1:
        distributed.all_reduce(found, op=distributed.ReduceOp.MAX)
    return found
