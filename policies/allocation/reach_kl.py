"""Nearest mixtures within bounds and within a divergence of the last mixture."""

from __future__ import annotations

import math

import numpy as np

from policies.allocation.filling import FAINTEST, NOTHING
from policies.allocation.reach import Reached
from policies.signals import Array

# What may be missing of the sum and of the divergence.
PRECISE = 1e-13
# Passes until the search gives up; some five are usual.
PASSES = 12
# By how much the shift may change in a pass: further away nothing is known of exponentials.
STRIDE = 1.0


def nearest_in_divergence(
    level: Array, lower: Array, upper: Array, previous: Array, divergence: float
) -> Reached | None:
    """The nearest mixture in KL of those that are exactly ``divergence`` away from the last one.

    It is ``clip(previous exp(shift + part * log(level / previous)), lower, upper)``, on the way
    from the last mixture to the proposal. Two numbers, the shift and the part, are found by
    Newton's method from the sum and the root of the divergence, which is close to a line in the
    part. The price of the divergence is ``1 / part - 1``.

    Args:
        level: The proposal, positive, shape (k,).
        lower: Shape (k,).
        upper: Shape (k,).
        previous: The last mixture, shape (k,).
        divergence: From the last mixture in nats, positive, to be used up.

    Returns:
        None where the limit does not hold the nearest mixture back, and where the search does not
        get through, as where no mixture within the bounds is as near to the last one.
    """
    before = np.log(np.maximum(previous, FAINTEST))
    way = np.log(level) - before
    powers = np.ones((3, len(level)))
    powers[1], powers[2] = way, way * way
    least = np.log(np.maximum(lower, NOTHING)) - before
    most = np.log(np.maximum(upper, NOTHING)) - before
    _, mean, square = (powers @ previous).tolist()
    variance = square - mean * mean
    if not variance > 0:
        return None
    # Where the last mixture's moments say that both are.
    part = min(math.sqrt(2 * divergence / variance), 1.0)
    shift = -part * (mean + part * variance / 2)
    for _ in range(PASSES):
        wanted = shift + part * way
        moved = np.minimum(np.maximum(wanted, least), most)
        weights = np.exp(before + moved)
        excess = float(np.add.reduce(weights)) - 1
        diverged = max(float(weights.dot(moved)) - excess, 0.0)
        if abs(excess) <= PRECISE and abs(diverged - divergence) <= PRECISE:
            if part > 1:  # Even without a price it would not have moved as far.
                return None
            shares = np.minimum(np.maximum(weights, lower), upper)
            return Reached(shares, 1 / part - 1, (moved - wanted) / part)
        free, first, second = (powers @ (weights * (moved == wanted))).tolist()
        bent = free * second - first * first
        if not bent > 0:
            return None
        root = math.sqrt(diverged)
        further = 2 * root * (math.sqrt(divergence) - root)
        rises = shift * free + part * first
        part_by = (free * further + rises * excess) / (part * bent)
        part_by = min(max(part_by, -part / 2), part)
        shift_by = -(excess + first * part_by) / free
        part, shift = part + part_by, shift + min(max(shift_by, -STRIDE), STRIDE)
    return None
