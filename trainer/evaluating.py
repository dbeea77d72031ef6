"""Held-out losses per domain, summed exactly over batches and ranks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from mixer.batch import Batch
from policies import Array
from policies.feedback import LN2, ratio
from trainer.data import CorpusDataModule
from trainer.module import StepOutput


@dataclass(frozen=True)
class HeldOut:
    """One evaluation; arrays have shape (k,).

    Attributes:
        step: Optimiser steps done before it.
        bits_per_byte: Held-out loss in bits per byte of text.
        standard_error: Of that mean, over sequences; NaN with fewer than two.
        loss: Held-out loss in nats per token.
        sequences: Sequences behind it.
    """

    step: int
    bits_per_byte: Array
    standard_error: Array
    loss: Array
    sequences: Array

    @property
    def mean(self) -> float:
        """Bits per byte, every domain counted alike."""
        return float(self.bits_per_byte.mean())

    @property
    def worst(self) -> int:
        """The domain with the most bits per byte."""
        return int(np.nanargmax(self.bits_per_byte))


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
        # Sequences, nats, bytes, then the squares and products the standard error needs. The last
        # row takes the padding of uneven batches.
        shape = (len(self.names) + 1, 6)
        # float64 sums do not depend on the order of batches in any digit that is shown; devices
        # without it sum in float32.
        dtype = torch.float32 if pl_module.device.type == "mps" else torch.float64
        self._sums = torch.zeros(shape, dtype=dtype, device=pl_module.device)

    def _add(self, outputs: Any, batch: Batch) -> None:
        output = cast(StepOutput, outputs)
        nats = output["losses"].to(self._sums.dtype)
        size = output["bytes"].to(self._sums.dtype)
        columns = [torch.ones_like(nats), nats, size, nats * nats, nats * size, size * size]
        row = batch.domain.remainder(len(self.names) + 1)  # -1, the padding, is the last row.
        self._sums.index_add_(0, row, torch.stack(columns, dim=1))

    def _finish(self, trainer: Trainer) -> HeldOut:
        sums = cast(Tensor, trainer.strategy.reduce(self._sums, reduce_op="sum"))
        return held_out(sums[:-1].cpu().numpy(), trainer.global_step, self._sequence_length)

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


def held_out(sums: Array, step: int, sequence_length: int) -> HeldOut:
    """Turn sums per domain, shape (k, 6), into losses with standard errors.

    Bits per byte is a ratio of sums; its standard error follows from the residuals
    ``nats - ratio * bytes`` of the sequences (the delta method).
    """
    count, nats, size, nats_nats, nats_size, size_size = sums.T
    quotient = ratio(nats, size)
    residual = nats_nats - 2 * quotient * nats_size + quotient**2 * size_size
    variance = ratio(np.maximum(residual, 0.0), count - 1) * count
    return HeldOut(
        step=step,
        bits_per_byte=quotient / LN2,
        standard_error=ratio(np.sqrt(variance), size) / LN2,
        loss=ratio(nats, count * sequence_length),
        sequences=count,
    )
