"""Many fillings at once, one beside the other in the same arrays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.allocation.filling import SETTLED, Objective, fill
from policies.signals import Array

# Passes until those that are not settled are filled one by one; some four are usual.
TOGETHER = 12


class Segments(NamedTuple):
    """Which domains each of r fillings is of, one filling after the other.

    Attributes:
        places: Of the domains, shape (n,); a domain may be in several segments.
        starts: Where in ``places`` each segment begins, shape (r,).
        segment: Of each entry, shape (n,).
        counts: Entries of each segment, shape (r,).
    """

    places: NDArray[np.int64]
    starts: NDArray[np.int64]
    segment: NDArray[np.int64]
    counts: Array


def segments_of(members: Sequence[NDArray[np.int64]]) -> Segments:
    """Segments of these domains each, none of them empty."""
    counts = np.array([len(some) for some in members], dtype=np.int64)
    return Segments(
        places=np.concatenate([np.empty(0, dtype=np.int64), *members]),
        starts=np.cumsum(counts) - counts,
        segment=np.repeat(np.arange(len(members)), counts),
        counts=counts.astype(np.float64),
    )


def fill_segments(
    level: Array,
    lower: Array,
    upper: Array,
    segments: Segments,
    totals: Array,
    objective: Objective,
) -> Array:
    """The scale or shift of every segment at which its amounts have their sum, shape (r,).

    Newton's method as in `fill`, for all of them together and without its precautions: what it
    does not settle soon is left to `fill`.

    Args:
        level: Of every entry, shape (n,); positive for "kl".
        lower: Shape (n,).
        upper: Shape (n,).
        segments: Their segments.
        totals: The sums, shape (r,).
        objective: Which distance.

    Raises:
        ValueError: No such amounts are within the bounds.
    """
    scales, starts = objective == "kl", segments.starts
    mass = np.add.reduceat(level, starts)
    at: Array = totals / mass if scales else (totals - mass) / segments.counts
    for _ in range(TOGETHER):
        along = at.take(segments.segment)
        spread = level * along if scales else level + along
        amounts = np.minimum(np.maximum(spread, lower), upper)
        excess = np.add.reduceat(amounts, starts) - totals
        if float(excess.dot(excess)) <= SETTLED**2:
            return at
        free = amounts == spread
        slope = np.add.reduceat(level * free if scales else free.astype(np.float64), starts)
        if np.count_nonzero(slope) < len(slope):  # Where nothing is free, a step as if all were.
            np.copyto(slope, mass if scales else segments.counts, where=slope == 0)
        at = at - excess / slope
    for one in np.flatnonzero(np.abs(excess) > SETTLED):
        inside = segments.segment == one
        total = float(totals[one])
        at[one] = fill(level[inside], lower[inside], upper[inside], total, objective).at
    return at
