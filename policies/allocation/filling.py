"""Nearest amounts within bounds: a common scale or shift, cut off at the bounds."""

from __future__ import annotations

from functools import cache
from typing import Literal, NamedTuple, TypeAlias

import numpy as np

from policies.signals import Array

Objective: TypeAlias = Literal["kl", "euclidean"]

# A domain without a share is taken for one with this share, so that it has a logarithm.
FAINTEST = 1e-12
# A share of zero in logarithms that nobody sees.
NOTHING = 1e-300
# What rounding leaves of a sum.
SETTLED = 1e-14
# What bounds may lack of a sum before they are said not to fit.
FITS = 1e-9
# Passes until the search gives up; some four are usual.
PASSES = 200
# Enough to be beyond a break in spite of rounding.
BEYOND = 4e-16


class Filled(NamedTuple):
    """Amounts that are a level times (for "euclidean", plus) one number, cut off at bounds.

    Attributes:
        amounts: Shape (k,).
        at: The number; of an interval of them where no amount is free.
    """

    amounts: Array
    at: float


@cache
def ones(size: int) -> Array:
    """Of some hundred entries the product with these is the sum, in half the time."""
    some = np.ones(size)
    some.flags.writeable = False
    return some


def nearest_within(
    level: Array, lower: Array, upper: Array, total: float, objective: Objective
) -> Array:
    """The amounts of `fill`."""
    return fill(level, lower, upper, total, objective).amounts


def fill(
    level: Array,
    lower: Array,
    upper: Array,
    total: float,
    objective: Objective,
    start: float | None = None,
) -> Filled:
    """The amounts within bounds, of a given sum, that are nearest to ``level``.

    In Kullback-Leibler divergence they are ``clip(s * level, lower, upper)``, in squares
    ``clip(level + s, lower, upper)``, with the s at which the sum is ``total``. The sum rises in s
    and is straight between the breaks where an entry enters or leaves its bounds, so Newton's
    method ends with the exact s. A step beyond what is known to be too much or too little is cut
    to the middle of the two; where nothing is free the next break follows.

    Args:
        level: Shape (k,); positive for "kl".
        lower: Shape (k,).
        upper: At least ``lower``, shape (k,).
        total: The sum.
        objective: Which distance.
        start: Where to look for s first; if not given, where it is if no bound holds.

    Raises:
        ValueError: No such amounts are within the bounds.
    """
    scales, one = objective == "kl", ones(len(level))
    below, above = (0.0 if scales else -np.inf), np.inf
    if start is None:
        mass = float(level.dot(one))
        start = max(total, 0.0) / mass if scales else (total - mass) / len(level)
    at = start
    for _ in range(PASSES):
        spread = level * at if scales else level + at
        nearest: Array = np.minimum(np.maximum(spread, lower), upper)
        excess = float(nearest.dot(one)) - total
        if -SETTLED <= excess <= SETTLED:
            return Filled(nearest, at)
        below, above = (below, at) if excess > 0 else (at, above)
        free = nearest == spread
        slope = float(level.dot(free)) if scales else float(np.count_nonzero(free))
        if slope > 0:
            at -= excess / slope
        elif excess > 0:
            at = float(np.max(_breaks(level, upper, scales), where=spread > upper, initial=-np.inf))
            at -= BEYOND * abs(at)
        else:
            at = float(np.min(_breaks(level, lower, scales), where=spread < lower, initial=np.inf))
            at += BEYOND * abs(at)
        if not below < at < above:
            at = (below + above) / 2
            if not below < at < above:
                break
    if abs(excess) > FITS:
        raise ValueError(
            f"amounts must fit between their bounds: a sum of {total:.9g} is asked for, "
            f"the nearest one is {total + excess:.9g}"
        )
    return Filled(nearest, at)


def slope_between(amounts: Array, spread: Array, objective: Objective) -> Array:
    """How much steeper the distance is at the amounts than at what they are cut off from, (k,)."""
    if objective == "kl":
        steeper: Array = np.log(np.maximum(amounts, FAINTEST) / spread)
        return steeper
    return 2 * (amounts - spread)


def _breaks(level: Array, bound: Array, scales: bool) -> Array:
    """The scale or shift at which each entry is at its bound, shape (k,)."""
    breaks: Array = bound / level if scales else bound - level
    return breaks
