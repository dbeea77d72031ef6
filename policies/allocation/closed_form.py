"""Nearest mixtures within bounds of domains and of disjoint groups."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.allocation.filling import FAINTEST, Objective, fill
from policies.allocation.membership import worst
from policies.allocation.segments import Segments, fill_segments, segments_of
from policies.signals import Array

SLACK = 1e-12
# Scales, or shifts, of a group that has no bound from below, and from above.
NEVER = {"kl": np.array([1e-300, 1e300]), "euclidean": np.array([-1e300, 1e300])}


class Partition(NamedTuple):
    """Disjoint groups, and the rows of a matrix that bound what each may have together.

    Attributes:
        rows: The domains of each of r rows.
        side: 1 where a row bounds its group from above, -1 where from below, shape (r,).
        least: Row that bounds each domain's group from below, shape (k,); r for none.
        most: Row that bounds it from above, likewise; r + 1 for none.
        twice: The two rows of each group that is bounded from both sides, shape (2, n).
    """

    rows: Segments
    side: Array
    least: NDArray[np.int64]
    most: NDArray[np.int64]
    twice: NDArray[np.int64]


class Held(NamedTuple):
    """What the bounds of domains and of groups say whatever the proposal is.

    Attributes:
        lower: Of the domains of every row, shape (n,).
        upper: Likewise.
        totals: Of each row's group where the row holds, as far as its domains can, shape (r,).
        idle: Rows that the bounds of domains keep anyway, shape (r,); None if there are none.
    """

    lower: Array
    upper: Array
    totals: Array
    idle: NDArray[np.bool_] | None


class Grouped(NamedTuple):
    """A mixture whose shares are the proposal's times (for "euclidean", plus) a common number.

    Attributes:
        weights: Shape (k,).
        spread: What the shares would be without bounds of domains, shape (k,).
        at: The number outside groups and in those that nothing holds.
        rows: The number in the group of each row, if the row holds, shape (r,).
    """

    weights: Array
    spread: Array
    at: float
    rows: Array


def find_partition(matrix: Array) -> Partition | None:
    """The disjoint groups that these rows bound, if that is all they do.

    Args:
        matrix: Inequalities ``matrix @ p <= bound``, shape (r, k).

    Returns:
        The groups; None where a row is not the plain sum of a group, where two groups overlap or
        where a group is bounded twice alike.
    """
    number, size = matrix.shape
    group = np.full(size, -1)
    ends = np.repeat([[number], [number + 1]], size, axis=1)
    side = np.ones(number)
    for place, row in enumerate(matrix):
        members = row != 0
        if not (row[members] == 1).all() and not (row[members] == -1).all():
            return None
        known = np.unique(group[members])
        if len(known) > 1:
            return None
        if known[0] == -1:
            group[members] = place
        elif (group == known[0]).sum() != members.sum():
            return None
        side[place] = row[members][0]
        end = ends[int(side[place] > 0)]
        if end[members][0] < number:
            return None
        end[members] = place
    rows = segments_of([np.flatnonzero(row) for row in matrix])
    twice = np.unique(ends[:, (ends < number).all(axis=0)], axis=1)
    return Partition(rows, side, ends[0], ends[1], twice)


def no_groups(size: int) -> Partition:
    """No rows at all."""
    ends = np.zeros(size, dtype=np.int64)
    return Partition(segments_of([]), np.empty(0), ends, ends + 1, np.empty((2, 0), np.int64))


def hold(lower: Array, upper: Array, partition: Partition, bound: Array) -> Held | None:
    """What rows come to within the bounds of domains; None where they cannot be kept.

    Args:
        lower: Of each domain, shape (k,).
        upper: Of each domain, shape (k,).
        partition: The groups.
        bound: Right sides of the rows the partition was found in, shape (r,).
    """
    rows, side = partition.rows, partition.side
    lower, upper = lower.take(rows.places), upper.take(rows.places)
    if len(side) == 0:
        return Held(lower, upper, side, None)
    asked = side * bound
    least, most = np.add.reduceat(lower, rows.starts), np.add.reduceat(upper, rows.starts)
    totals = np.minimum(np.maximum(asked, least), most)
    lacks = side * (totals - asked)
    if (lacks > SLACK).any():
        return None
    low, high = partition.twice
    if len(low) and worst(totals[low], totals[high]) > SLACK:
        return None
    idle = lacks < 0
    return Held(lower, upper, totals, idle if np.count_nonzero(idle) else None)


def nearest_in_groups(
    level: Array,
    lower: Array,
    upper: Array,
    partition: Partition,
    held: Held,
    objective: Objective,
) -> Grouped | None:
    """The nearest mixture within bounds of domains and of disjoint groups.

    One number scales (for "euclidean", shifts) all domains, until a group is at its bound. So each
    bound of a group is one of that number for its domains, found by filling the group alone, and
    hence of their shares; then only domains have bounds.

    Args:
        level: The proposal, shape (k,); positive for "kl".
        lower: Of each domain, shape (k,).
        upper: Of each domain, shape (k,).
        partition: The groups.
        held: Of `hold` for these bounds.
        objective: Which distance.

    Returns:
        None where no mixture fits.
    """
    scales = objective == "kl"
    try:
        if len(partition.side) == 0:
            weights, at = fill(level, lower, upper, 1.0, objective)
            return Grouped(weights, level * at if scales else level + at, at, partition.side)
        rows = _where_rows_hold(level, partition, held, objective)
        ends = np.concatenate((rows, NEVER[objective]))
        from_below, from_above = ends[partition.least], ends[partition.most]
        low = level * from_below if scales else level + from_below
        high = level * from_above if scales else level + from_above
        least = np.minimum(np.maximum(low, lower), upper)
        most = np.minimum(np.maximum(high, lower), upper)
        weights, at = fill(level, least, most, 1.0, objective)
    except ValueError:
        return None
    along = level * at if scales else level + at
    if scales:  # Something is left of it to compare nothing with.
        high = np.maximum(high, FAINTEST)
    return Grouped(weights, np.minimum(np.maximum(along, low), high), at, rows)


def _where_rows_hold(level: Array, partition: Partition, held: Held, objective: Objective) -> Array:
    """The scale or shift at which each row's group is at its bound, shape (r,)."""
    rows = partition.rows
    level = level.take(rows.places)
    ends = fill_segments(level, held.lower, held.upper, rows, held.totals, objective)
    if held.idle is None:
        return ends
    return np.where(held.idle, NEVER[objective].take(partition.side > 0), ends)
