"""Sketches of sequences' gradients, added up by domain over batches and ranks."""

from __future__ import annotations

from typing import NamedTuple

import torch
from lightning.pytorch import Trainer
from torch import Tensor

from policies import Array
from trainer.probes.probe import sum_over_ranks


class SketchSums(NamedTuple):
    """Sums over the sequences of each domain.

    Attributes:
        total: Sum of their sketches, shape (k, d).
        squares: Sum of the squared norms of their sketches, shape (k,).
        sequences: How many there were, shape (k,).
    """

    total: Array
    squares: Array
    sequences: Array


class DomainSketches:
    """Adds sketches up by domain.

    Args:
        num_domains: Domains, k.
        size: Numbers of a sketch, d.
        device: Where the sketches are.
    """

    def __init__(self, num_domains: int, size: int, device: torch.device) -> None:
        # The last row takes what does not count; behind each sketch, its square and the count.
        # float64, where there is: squares of sums are compared with sums of squares.
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self._sums = torch.zeros((num_domains + 1, size + 2), dtype=dtype, device=device)

    def add(self, sketches: Tensor, domain: Tensor) -> None:
        """Add sequences, but neither padding nor sketches that are not finite.

        Args:
            sketches: One a row, shape (B, d).
            domain: Domain of each, -1 for padding, shape (B,).
        """
        counted = (domain >= 0) & sketches.isfinite().all(dim=1)
        row = torch.where(counted, domain, len(self._sums) - 1)
        sketches = sketches.to(self._sums.dtype)
        ones = torch.ones_like(sketches[:, :1])
        columns = [sketches, sketches.square().sum(dim=1, keepdim=True), ones]
        self._sums.index_add_(0, row, torch.cat(columns, dim=1))

    def over_ranks(self, trainer: Trainer) -> SketchSums:
        """The sums over all ranks, the same on each; nothing may be added afterwards."""
        sums = sum_over_ranks(self._sums, trainer)[:-1].cpu().double().numpy()
        return SketchSums(sums[:, :-2], sums[:, -2], sums[:, -1])
