"""Held-out losses per domain, summed exactly over batches and ranks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import numpy as np
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from policies import Array
from policies.feedback import LN2, ratio


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


class LossSums:
    """Sums of sequences' losses per domain, as the mean losses and their standard errors need them.

    Args:
        num_domains: Domains, k.
        device: Where the losses are.
    """

    def __init__(self, num_domains: int, device: torch.device) -> None:
        # Sequences, nats, bytes, then the squares and products the standard error needs. The last
        # row takes the padding of uneven batches. float64 sums do not depend on the order of
        # batches in any digit that is shown; devices without it sum in float32.
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self._sums = torch.zeros((num_domains + 1, 6), dtype=dtype, device=device)

    def add(self, losses: Tensor, sizes: Tensor, domain: Tensor) -> None:
        """Count a batch in: losses in nats, bytes of text and domain (-1: padding), each (B,)."""
        nats, size = losses.to(self._sums.dtype), sizes.to(self._sums.dtype)
        columns = [torch.ones_like(nats), nats, size, nats * nats, nats * size, size * size]
        row = domain.remainder(len(self._sums))  # -1, the padding, is the last row.
        self._sums.index_add_(0, row, torch.stack(columns, dim=1))

    def result(self, trainer: Trainer, sequence_length: int) -> HeldOut:
        """The losses over all ranks."""
        sums = cast(Tensor, trainer.strategy.reduce(self._sums, reduce_op="sum"))
        return held_out(sums[:-1].cpu().numpy(), trainer.global_step, sequence_length)


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
