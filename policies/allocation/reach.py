"""Nearest mixtures within bounds and within a total variation of the last mixture."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from policies.allocation.filling import Objective, fill, ones, slope_between
from policies.signals import Array


class Reached(NamedTuple):
    """A mixture as far from the last one as it may be.

    Attributes:
        weights: Shape (k,).
        price: Dual of the limit.
        slope: Of the rest of the Lagrangian in each share, zero but at bounds, shape (k,).
    """

    weights: Array
    price: float
    slope: Array


def nearest_in_reach(
    level: Array,
    lower: Array,
    upper: Array,
    previous: Array,
    change: float,
    objective: Objective,
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
    total = float(base.dot(ones(len(base))))
    put = base - previous
    forced = float(np.abs(put).dot(ones(len(put)))) if np.count_nonzero(put) else 0.0
    rise, fall = change - (forced - 1 + total) / 2, change - (forced + 1 - total) / 2
    if rise < 0 or fall < 0:
        return None
    up, down = _first_guess(level, base, rise, fall, objective)
    try:
        rises = fill(level, base, upper, total + rise, objective, up).at
        falls = fill(level, lower, base, total - fall, objective, down).at
    except ValueError:
        return None
    if rises > falls:  # Even without a price it would not have moved as far.
        return None
    if objective == "kl":
        price, risen, fallen = math.log(falls / rises), level * rises, level * falls
    else:
        price, risen, fallen = 2 * (falls - rises), level + rises, level + falls
    spread = np.minimum(np.maximum(previous, risen), fallen)
    weights = np.minimum(np.maximum(spread, lower), upper)
    return Reached(weights, price, slope_between(weights, spread, objective))


def _first_guess(
    level: Array, base: Array, rise: float, fall: float, objective: Objective
) -> tuple[float, float]:
    """The two scales or shifts if no bounds of domains held.

    What rises, or falls, altogether is known at each break where an entry starts to.
    """
    if objective == "kl":
        breaks = base / level
        order = breaks.argsort()
        breaks = breaks.take(order)
        steep, held = np.add.accumulate(level.take(order)), np.add.accumulate(base.take(order))
    else:
        breaks = np.sort(base - level)
        steep, held = np.arange(1.0, 1 + len(level)), np.add.accumulate(breaks)
    risen = breaks * steep - held
    mass, total = float(steep[-1]), float(held[-1])
    last = max(int(risen.searchsorted(rise)), 1) - 1
    up = (rise + float(held[last])) / float(steep[last])
    last = min(int((breaks * mass - total - risen).searchsorted(-fall)), len(breaks) - 1) - 1
    if last >= 0:
        mass, total = mass - float(steep[last]), total - float(held[last])
    return up, (total - fall) / mass
