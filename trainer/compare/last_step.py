"""Validation after a run's last step, wherever the run's length falls between two validations."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


class ValidateLastStep(Callback):
    """Has Lightning validate at the end: runs of equal cost differ in their number of steps."""

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if trainer.global_step >= trainer.max_steps:
            # A run that is told to stop validates first; this one would stop here anyhow.
            trainer.should_stop = True
