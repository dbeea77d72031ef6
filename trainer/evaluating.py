"""Evaluation of all domains: for ``validate``, ``test`` and validation during ``fit``."""

from __future__ import annotations

from typing import Any, cast

from lightning.pytorch import Callback, LightningModule, Trainer

from mixer.batch import Batch
from trainer.data import CorpusDataModule
from trainer.held_out import HeldOut, LossSums
from trainer.module import StepOutput


class EvaluationCallback(Callback):
    """Sums held-out losses per domain for ``validate``, ``test`` and validation during ``fit``.

    Logs ``validation/bits_per_byte_mean`` and ``_worst`` for checkpoints to monitor.
    """

    def __init__(self) -> None:
        self.names: tuple[str, ...] = ()
        self.validation: HeldOut | None = None
        self.test: HeldOut | None = None

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        data = cast(CorpusDataModule, trainer.datamodule)  # type: ignore[attr-defined]
        self.names, self._sequence_length = data.names, data.sequence_length

    def _start(self, pl_module: LightningModule) -> None:
        self._sums = LossSums(len(self.names), pl_module.device)

    def _add(self, outputs: Any, batch: Batch) -> None:
        output = cast(StepOutput, outputs)
        self._sums.add(output["losses"], output["bytes"], batch.domain)

    def _finish(self, trainer: Trainer) -> HeldOut:
        return self._sums.result(trainer, self._sequence_length)

    def on_validation_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start(pl_module)

    def on_validation_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._add(outputs, batch)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        result = self.validation = self._finish(trainer)
        if not trainer.sanity_checking:
            pl_module.log_dict(
                {
                    "validation/bits_per_byte_mean": result.mean,
                    "validation/bits_per_byte_worst": float(result.bits_per_byte[result.worst]),
                },
                # Equal on all ranks already; Lightning wants it said.
                sync_dist=True,
            )

    def on_test_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start(pl_module)

    def on_test_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        self._add(outputs, batch)

    def on_test_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.test = self._finish(trainer)
