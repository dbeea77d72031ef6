"""From weights to whole numbers of sequences per domain."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Weights: TypeAlias = NDArray[np.float64]
Counts: TypeAlias = NDArray[np.int64]
Resampling: TypeAlias = Literal["quota", "systematic", "multinomial"]
Rule: TypeAlias = Callable[[Weights, int, Weights, int, int], Counts]

# Shares this close to a whole number of sequences are that number.
_ROUNDING = 1e-9
# The streams of randomness drawn from one seed must not overlap.
_SYSTEMATIC_STREAM, _MULTINOMIAL_STREAM, _QUOTA_STREAM = 1, 2, 3


def quota(weights: Weights, size: int, owed: Weights, seed: int, step: int) -> Counts:
    """Round every share down, then up again where most is owed.

    Each domain gets ``size * weight`` sequences rounded down or up, so a step is off by less than
    one sequence; which domains are rounded up follows from what earlier roundings still owe them,
    so the sum over steps stays within about one sequence too, however the weights move.

    Args:
        weights: The mixture, shape (k,), summing to one.
        size: Sequences to share out.
        owed: Sequences asked for minus sequences drawn in all earlier steps, shape (k,).
        seed: Seed of the run; unused, for the order of service follows from ``owed``.
        step: Optimiser step, from 0; unused.

    Returns:
        Sequences of each domain, shape (k,), summing to ``size``.
    """
    del seed, step
    asked = weights * size
    counts: Counts = (asked + _ROUNDING).astype(np.int64)
    fraction = asked - counts
    left = size - int(counts.sum())
    if left > 0:
        claim = fraction + owed
        claim[fraction <= _ROUNDING] = -np.inf
        counts[claim.argpartition(-left)[-left:]] += 1
    return counts


def systematic(weights: Weights, size: int, owed: Weights, seed: int, step: int) -> Counts:
    """Systematic resampling: ``size * weight`` sequences rounded down or up, unbiased at each step.

    One uniform offset places a comb of ``size`` equally spaced teeth over the cumulated weights
    (Kitagawa 1996). Arguments as `quota`; what is owed is left to chance.
    """
    del owed
    offset = np.random.default_rng([seed, _SYSTEMATIC_STREAM, step]).random()
    cumulated = np.cumsum(weights)
    # Divided by its last entry it ends at one exactly, also where trailing weights are zero.
    teeth = np.floor(cumulated / cumulated[-1] * size + offset).astype(np.int64)
    counts: Counts = np.diff(np.minimum(teeth, size), prepend=0)
    return counts


def multinomial(weights: Weights, size: int, owed: Weights, seed: int, step: int) -> Counts:
    """Independent draws: unbiased, with the full noise of sampling. Arguments as `quota`."""
    del owed
    generator = np.random.default_rng([seed, _MULTINOMIAL_STREAM, step])
    return generator.multinomial(size, weights / weights.sum())


def initial_debt(num_domains: int, seed: int) -> Weights:
    """What is owed before the first step: nothing but a seeded order among equals, shape (k,)."""
    noise = np.random.default_rng([seed, _QUOTA_STREAM]).random(num_domains)
    debt: Weights = (noise - noise.mean()) * 1e-3
    return debt


RULES: Mapping[str, Rule] = {
    "quota": quota,
    "systematic": systematic,
    "multinomial": multinomial,
}
