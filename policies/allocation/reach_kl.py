"""Nearest mixtures within bounds and within a divergence of the last mixture."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from policies.allocation.filling import FAINTEST, NOTHING, ones
from policies.allocation.reach import Reached
from policies.signals import Array

# What may be missing of the sum and of the divergence.
PRECISE = 1e-13
# Passes until the search gives up; some five are usual.
PASSES = 12
# By how much the shift may change in a pass: further away nothing is known of exponentials.
STRIDE = 1.0


class Way(NamedTuple):
    """From the last mixture to the proposal.

    Attributes:
        level: The proposal, positive, shape (k,).
        previous: The last mixture, shape (k,).
        before: Its logarithm, shape (k,).
        rises: By how much the proposal's logarithm is more, shape (k,).
        powers: Of these: ones, themselves and their squares, shape (3, k).
    """

    level: Array
    previous: Array
    before: Array
    rises: Array
    powers: Array

    @property
    def divergence(self) -> float:
        """Of the proposal from the last mixture, in nats."""
        return float(self.level.dot(self.rises))


class Bounds(NamedTuple):
    """Bounds of domains and their logarithms, each of shape (k,)."""

    lower: Array
    upper: Array
    log_lower: Array
    log_upper: Array


def way_between(previous: Array, level: Array) -> Way:
    """The way from a mixture, shape (k,), to a positive one."""
    before = np.log(np.maximum(previous, FAINTEST))
    rises = np.log(level) - before
    powers = np.empty((3, len(level)))
    powers[0], powers[1], powers[2] = 1.0, rises, rises * rises
    return Way(level, previous, before, rises, powers)


def bounds_between(lower: Array, upper: Array) -> Bounds:
    """These bounds, each of shape (k,)."""
    return Bounds(lower, upper, *np.log(np.maximum((lower, upper), NOTHING)))


def nearest_in_divergence(way: Way, bounds: Bounds, divergence: float) -> Reached | None:
    """The nearest mixture in KL of those that are exactly ``divergence`` away from the last one.

    It is ``clip(previous exp(shift + part * log(level / previous)), lower, upper)``, on the way
    from the last mixture to the proposal. Two numbers, the shift and the part, are found by
    Newton's method from the sum and the root of the divergence, which is close to a line in the
    part. The price of the divergence is ``1 / part - 1``.

    Args:
        way: From the last mixture to the proposal.
        bounds: Of domains.
        divergence: From the last mixture in nats, positive, to be used up.

    Returns:
        None where the limit does not hold the nearest mixture back, and where the search does not
        get through, as where no mixture within the bounds is as near to the last one.
    """
    before, rises, powers, one = way.before, way.rises, way.powers, ones(len(way.level))
    least, most = bounds.log_lower - before, bounds.log_upper - before
    _, mean, square = powers.dot(way.previous).tolist()
    variance = square - mean * mean
    if not variance > 0:
        return None
    # Where the last mixture's moments say that both are.
    part = min(math.sqrt(2 * divergence / variance), 1.0)
    shift = -part * (mean + part * variance / 2)
    for _ in range(PASSES):
        wanted = shift + part * rises
        moved = np.minimum(np.maximum(wanted, least), most)
        weights = np.exp(before + moved)
        excess = float(weights.dot(one)) - 1
        diverged = max(float(weights.dot(moved)) - excess, 0.0)
        if abs(excess) <= PRECISE and abs(diverged - divergence) <= PRECISE:
            if part > 1:  # Even without a price it would not have moved as far.
                return None
            shares = np.minimum(np.maximum(weights, bounds.lower), bounds.upper)
            return Reached(shares, 1 / part - 1, (moved - wanted) / part)
        free, first, second = powers.dot(weights * (moved == wanted)).tolist()
        bent = free * second - first * first
        if not bent > 0:
            return None
        root = math.sqrt(diverged)
        further = 2 * root * (math.sqrt(divergence) - root)
        grown = shift * free + part * first
        part_by = (free * further + grown * excess) / (part * bent)
        part_by = min(max(part_by, -part / 2), part)
        shift_by = -(excess + first * part_by) / free
        part, shift = part + part_by, shift + min(max(shift_by, -STRIDE), STRIDE)
    return None
