"""Weights of the sequences within a batch by their losses, whatever the mixture of domains is."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from lightning.pytorch import Trainer
from torch import Tensor, distributed

# Losses that differ by less, in nats per token, count as equal.
_SMALLEST_SPAN = 1e-6


@dataclass(frozen=True, kw_only=True)
class Reweighting(ABC):
    """Sequences count by how their loss compares with the others' in the global batch.

    With l the losses per token, of which a and b are the smallest and the largest in the batch,

        h = (2 l - a - b) / (b - a),    w ~ exp(f(h) / r),    sum of w = 1,

    and the batch's loss is the sum of w l instead of the mean: Sow et al. 2025, "Dynamic Loss-Based
    Sample Reweighting", arXiv 2502.06733, and its code
    (sowmaster/Sample-Level-Loss-Reweighting-ICLR-2025), with delta 1. The subclasses differ in f.
    During the warm-up r is infinite, hence all weights are equal; then it goes from ``temperature``
    to ``final_temperature`` by the same factor in every step. The released code keeps it at 1.

    A loss that is not finite has weight zero. What a policy hears are the losses as they are, not
    weighted; but the mixture that the model learns from is then another than the one drawn.
    Languages whose tokens are long have larger losses per token, and so weigh more or less as a
    whole.

    Args:
        temperature: r at the end of the warm-up; the smaller, the more weights differ.
        final_temperature: r at the last step.
        warmup_steps: Steps before weights differ.

    Raises:
        ValueError: A setting is out of range.
    """

    temperature: float = 1.0
    final_temperature: float = 1.0
    warmup_steps: int = 1000

    def __post_init__(self) -> None:
        for name in ("temperature", "final_temperature"):
            value = getattr(self, name)
            if not (value > 0 and math.isfinite(value)):
                raise ValueError(f"reweighting.{name} must be positive and finite, got {value}")
        if self.warmup_steps < 0:
            raise ValueError(
                f"reweighting.warmup_steps must not be negative, got {self.warmup_steps}"
            )

    @abstractmethod
    def importance(self, height: Tensor) -> Tensor:
        """What f is for heights h of losses between the smallest, -1, and the largest, 1."""

    def temperature_at(self, step: int, total_steps: int) -> float:
        """What r is in a step of the run, counted from 0."""
        if step < self.warmup_steps:
            return math.inf
        part = (step - self.warmup_steps) / max(1, total_steps - 1 - self.warmup_steps)
        ratio = self.final_temperature / self.temperature
        return float(self.temperature * ratio ** min(part, 1.0))

    def weights(self, losses: Tensor, temperature: float) -> Tensor:
        """Weights that sum to one, (n,), for the losses per token of a global batch, (n,).

        NaN if no loss is finite: such a step teaches nothing and must not look like one that does.
        """
        finite = losses.isfinite()
        lowest = torch.where(finite, losses, torch.inf).min()
        highest = torch.where(finite, losses, -torch.inf).max()
        height = (2 * losses - lowest - highest) / (highest - lowest).clamp(min=_SMALLEST_SPAN)
        score = self.importance(height) / temperature
        return torch.where(finite, score, -torch.inf).softmax(dim=0)


@dataclass(frozen=True, kw_only=True)
class LinUpper(Reweighting):
    """f = min(h + 1, 1): only the easier half loses weight, the more the easier.

    What the model knows already is left alone, such as text it has read often; what is hard is not
    preferred, for it may be noise. It does best in the paper.
    """

    def importance(self, height: Tensor) -> Tensor:
        return (height + 1).clamp(max=1)


@dataclass(frozen=True, kw_only=True)
class Quadratic(Reweighting):
    """f = 1 - h^2: the middle counts most, both ends least. The released settings' choice."""

    def importance(self, height: Tensor) -> Tensor:
        return 1 - height**2


@dataclass(frozen=True, kw_only=True)
class Extremes(Reweighting):
    """f = abs(h): both ends count most."""

    def importance(self, height: Tensor) -> Tensor:
        return height.abs()


def reweighted(
    reweighting: Reweighting, losses: Tensor, num_tokens: int, trainer: Trainer
) -> tuple[Tensor, Tensor]:
    """What a rank differentiates, and how evenly the sequences of the global batch count.

    Strategies average gradients over ranks, so a rank's part of the weighted sum is taken as many
    times as there are ranks.

    Args:
        reweighting: How losses become weights.
        losses: Summed loss of each of this rank's sequences in nats, (B,).
        num_tokens: Tokens predicted per sequence.
        trainer: Knows the step and the ranks.

    Returns:
        The loss in nats per token, and the effective number of sequences, ``1 / sum of w^2``, as a
        fraction of the number there are; both on the device.
    """
    ranks = trainer.world_size
    temperature = reweighting.temperature_at(trainer.global_step, trainer.max_steps)
    own = losses.detach() / num_tokens
    weights = reweighting.weights(global_batch(own, ranks), temperature)
    mine = weights[trainer.global_rank :: ranks]
    # Not the product with a weight of zero: zero times NaN is NaN, in the gradient as well.
    believed = torch.where(own.isfinite(), losses, 0.0)
    loss = (mine * believed).sum() * ranks / num_tokens
    return loss, 1 / (weights.square().sum() * len(weights))


def global_batch(values: Tensor, ranks: int) -> Tensor:
    """Values of all ranks' sequences in the order of the global batch, (ranks B,), from (B,).

    Its row r was dealt to rank ``r % ranks``, so that sums come out alike for any number of ranks.
    """
    if ranks == 1:
        return values
    gathered = torch.empty((ranks, *values.shape), dtype=values.dtype, device=values.device)
    distributed.all_gather(list(gathered), values)
    return gathered.T.flatten()
