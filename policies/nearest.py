"""The nearest mixture within bounds, in closed form."""

from __future__ import annotations

import numpy as np

from policies.signals import Array

# Levels further apart than this are not told apart: their quotients would overflow.
_FAINTEST = 1e-150


def nearest_within(level: Array, lower: Array, upper: Array) -> Array:
    """The mixture within bounds that is nearest to ``level`` in Kullback-Leibler divergence.

    It is ``clip(s * level, lower, upper)`` for the one scale s at which the sum is one. The sum
    rises in s and bends only where an entry enters or leaves its bounds: once a search among these
    2k breaks has told which entries lie between their bounds, s follows from what is left for them.

    Args:
        level: Non-negative numbers on any common scale, shape (k,), not all zero; an entry of zero
            stays at its lower bound.
        lower: Least shares, not negative, summing to at most one, shape (k,).
        upper: Largest shares, at least ``lower``, shape (k,).

    Returns:
        Shape (k,), summing to one.

    Raises:
        ValueError: No mixture fits between the bounds.
    """
    reach = np.where(level > 0, upper, lower)
    if lower.sum() > 1 + 1e-9 or reach.sum() < 1 - 1e-9:
        raise ValueError(
            f"a mixture must fit between its bounds: the lower ones sum to {lower.sum():.6g}, "
            f"the upper ones of reachable domains to {reach.sum():.6g}"
        )
    level = np.where(level > 0, np.maximum(level / level.max(), _FAINTEST), 0.0)
    positive = np.where(level > 0, level, 1.0)
    enter = np.where(level > 0, lower / positive, np.inf)
    leave = np.where(level > 0, upper / positive, np.inf)
    breaks = np.sort(np.concatenate([enter, leave]))
    first, last = 0, int(np.searchsorted(breaks, np.inf))
    while first < last:  # The first break at which the sum reaches one.
        middle = (first + last) // 2
        if float(np.clip(breaks[middle] * level, lower, upper).sum()) < 1.0:
            first = middle + 1
        else:
            last = middle
    below = breaks[first - 1] if first > 0 else 0.0
    filled = np.where(leave <= below, upper, lower)
    free = (enter <= below) & (leave > below)
    if free.any():
        filled[free] = (1.0 - float(filled[~free].sum())) * (level[free] / float(level[free].sum()))
    nearest: Array = np.clip(filled, lower, upper)
    return nearest / float(nearest.sum())
