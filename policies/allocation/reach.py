"""Nearest mixtures within bounds and within a total variation of the last mixture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from policies.allocation.filling import FAINTEST, Objective, nearest_within
from policies.signals import Array

# What rounding leaves of the difference of two slopes.
LEVEL = 1e-9


class Reached(NamedTuple):
    """A mixture as far from the last one as it may be.

    Attributes:
        weights: Shape (k,).
        price: Dual of the total variation.
        slope: How the rest of the Lagrangian rises in each entry, by which its bounds' duals are
            known, shape (k,).
    """

    weights: Array
    price: float
    slope: Array


def nearest_in_reach(
    level: Array, lower: Array, upper: Array, previous: Array, change: float, objective: Objective
) -> Reached | None:
    """The nearest mixture of those that are exactly ``change`` away from the last one.

    A move must be worth its price. So there are two scales (for "euclidean", shifts) a <= b of the
    level: an entry rises from its last value to a times its level if that is above it, falls to b
    times its level if that is below it, and stays otherwise. Of what has to be moved, half rises
    and half falls, which gives a and b apart from each other, each by one filling.

    Args:
        level: The proposal, shape (k,); positive for "kl".
        lower: Shape (k,).
        upper: Shape (k,).
        previous: The last mixture, shape (k,).
        change: Total variation, to be used up: without it the nearest mixture is further away.
        objective: Which distance.

    Returns:
        None where no mixture within the bounds is as near to the last one as that, and where the
        limit does not hold the nearest one back.
    """
    base = np.minimum(np.maximum(previous, lower), upper)
    forced = float(np.abs(base - previous).sum())
    lacking = 1.0 - float(base.sum())
    rise, fall = change - (forced - lacking) / 2, change - (forced + lacking) / 2
    if rise < 0 or fall < 0:
        return None
    total = float(base.sum())
    try:
        risen = nearest_within(level, base, upper, total + rise, objective)
        fallen = nearest_within(level, lower, base, total - fall, objective)
    except ValueError:
        return None
    weights = np.where(risen > base, risen, fallen)
    if objective == "kl":
        slope = np.log(np.maximum(weights, FAINTEST) / level)
    else:
        slope = 2 * (weights - level)
    # Free entries that rise have one slope, those that fall have another.
    up = float(np.max(slope, where=risen > base, initial=-np.inf))
    down = float(np.min(slope, where=fallen < base, initial=np.inf))
    if not np.isfinite(up):
        up = float(np.min(slope, where=risen <= base, initial=np.inf))
    if not np.isfinite(down):
        down = float(np.max(slope, where=fallen >= base, initial=-np.inf))
    if up > down + LEVEL:  # Even without a price it would not have moved as far.
        return None
    price = max(down - up, 0.0)
    slope = _without_price(slope - (up + down) / 2, price, weights - previous)
    return Reached(weights, price, slope)


def _without_price(slope: Array, price: float, moved: Array) -> Array:
    """What is left of the slopes beside those of the total variation."""
    half = price / 2
    # Where nothing moves any slope between these two is one of the total variation.
    at_rest = np.minimum(np.maximum(-slope, -half), half)
    return slope + np.where(moved == 0, at_rest, np.sign(moved) * half)
