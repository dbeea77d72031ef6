"""What paired runs of two policies allow to say."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from policies import Array

CONFIDENCE = 0.95


class Paired(NamedTuple):
    """A policy beside the baseline on the same seeds; below zero is better.

    Attributes:
        difference: Mean over seeds of (policy - baseline); NaN without seeds.
        half: Half of the interval around it; NaN with fewer than two seeds.
        number: Seeds that both have.
        wins: Seeds with a difference below zero.
    """

    difference: float
    half: float
    number: int
    wins: int

    @property
    def clear(self) -> bool:
        """Whether the interval leaves zero out; False if there is none."""
        return abs(self.difference) > self.half


def paired(values: Sequence[float], baseline: Sequence[float]) -> Paired:
    """The mean difference of pairs with its 95 % interval.

    The interval is Student's, d +- t(0.975, n - 1) s / sqrt(n) with the standard deviation s of the
    n differences. It takes them to be normal, which three seeds cannot show, and speaks of other
    seeds of this very set-up: the same text, the same held-out sequences.

    Args:
        values: Of the policy, by seed.
        baseline: Of the baseline, for the same seeds.
    """
    differences = np.subtract(values, baseline)
    number = len(differences)
    if not number:
        return Paired(math.nan, math.nan, 0, 0)
    half = math.nan
    if number > 1:
        from scipy.stats import t

        quantile = float(t.ppf((1 + CONFIDENCE) / 2, number - 1))
        half = quantile * float(differences.std(ddof=1)) / math.sqrt(number)
    return Paired(float(differences.mean()), half, number, int((differences < 0).sum()))


def cost_to_reach(cost: Array, loss: Array, target: float) -> float:
    """Where a curve first comes down to a target, linear between its points, shapes (m,).

    NaN if it never does. A curve that begins below the target was there by its first point at the
    latest.
    """
    below = np.flatnonzero(loss <= target)
    if not len(below):
        return math.nan
    first = int(below[0])
    if first == 0:
        return float(cost[0])
    before, after = loss[first - 1], loss[first]
    part = (before - target) / (before - after)
    return float(cost[first - 1] + part * (cost[first] - cost[first - 1]))


def mean(values: ArrayLike) -> float:
    """The mean, NaN of nothing."""
    numbers = np.asarray(values, dtype=np.float64)
    return float(numbers.mean()) if numbers.size else math.nan
