"""Nearest mixtures that need no solver: within bounds, and within bounds of disjoint groups."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.nearest import nearest_within
from policies.signals import Array

Objective: TypeAlias = Literal["kl", "euclidean"]
Nearest: TypeAlias = Callable[[Array, Array, Array, float], Array]
"""Level, lower, upper and a sum to the nearest amounts with that sum."""

SLACK = 1e-12


class Partition(NamedTuple):
    """Every domain in one of g groups, and what each group may have together.

    Attributes:
        group: Of each domain, shape (k,).
        least: Row of the matrix that bounds each group from below, shape (g,); -1 for none.
        most: Row that bounds each from above, likewise.
    """

    group: NDArray[np.int64]
    least: NDArray[np.int64]
    most: NDArray[np.int64]


def find_partition(matrix: Array) -> Partition | None:
    """The disjoint groups that these rows bound, if that is all they do.

    Args:
        matrix: Inequalities ``matrix @ p <= bound``, shape (r, k).

    Returns:
        The groups, with one more for the domains outside all of them; None where a row is not the
        plain sum of a group, where two groups overlap or where a group is bounded twice alike.
    """
    group = np.full(matrix.shape[1], -1)
    least: list[int] = []
    most: list[int] = []
    for place, row in enumerate(matrix):
        members = row != 0
        if not (row[members] == 1).all() and not (row[members] == -1).all():
            return None
        known = np.unique(group[members])
        if len(known) > 1:
            return None
        if known[0] == -1:
            group[members] = len(least)
            least.append(-1)
            most.append(-1)
        elif (group == known[0]).sum() != members.sum():
            return None
        side = most if row[members][0] > 0 else least
        at = int(group[members][0])
        if side[at] != -1:
            return None
        side[at] = place
    group[group == -1] = len(least)
    return Partition(group, np.array([*least, -1]), np.array([*most, -1]))


def one_group(size: int) -> Partition:
    """All domains in one group without bounds."""
    none = np.full(1, -1)
    return Partition(np.zeros(size, dtype=np.int64), none, none)


def nearest_kl(level: Array, lower: Array, upper: Array, total: float) -> Array:
    """``clip(s * level, lower, upper)`` with the scale s at which the sum is ``total``: (k,)."""
    if total <= 0:
        return lower.copy()
    low, high = lower / total, np.maximum(upper, lower) / total
    # Rounding alone must not make bounds impossible that leave a single point.
    return total * nearest_within(level, low, np.where(high >= low, high, low))


def nearest_euclidean(level: Array, lower: Array, upper: Array, total: float) -> Array:
    """``clip(level + s, lower, upper)`` with the shift s at which the sum is ``total``: (k,).

    The sum rises in s and is straight between the points where an entry enters or leaves its
    bounds; a search among these finds the piece, and the piece the shift.
    """
    breaks = np.sort(np.concatenate([lower - level, upper - level]))
    first, last = 0, len(breaks) - 1
    while first < last:
        middle = (first + last) // 2
        if float(np.clip(level + breaks[middle], lower, upper).sum()) < total:
            first = middle + 1
        else:
            last = middle
    high = breaks[first]
    low = breaks[max(first - 1, 0)]
    below = float(np.clip(level + low, lower, upper).sum())
    above = float(np.clip(level + high, lower, upper).sum())
    part = (total - below) / (above - below) if above > below else 1.0
    nearest: Array = np.clip(level + low + part * (high - low), lower, upper)
    return nearest


NEAREST: dict[Objective, Nearest] = {"kl": nearest_kl, "euclidean": nearest_euclidean}


def nearest_in_groups(
    level: Array,
    lower: Array,
    upper: Array,
    partition: Partition,
    bound: Array,
    nearest: Nearest,
) -> Array | None:
    """The nearest mixture within bounds of domains and of disjoint groups, shape (k,).

    Solved without the groups' bounds first. If groups lie further above their bounds together than
    others lie below theirs, the former must end at them, otherwise the latter must; so these are
    settled, and the rest is solved again with what is left (Bitran and Hax 1981).

    Args:
        level: The proposal, shape (k,); positive where ``nearest`` needs it.
        lower: Of each domain, shape (k,).
        upper: Of each domain, shape (k,).
        partition: The groups.
        bound: Right sides of the rows the partition was found in, shape (r,).
        nearest: How a sum is shared within bounds.

    Returns:
        None where no mixture fits.
    """
    group, number = partition.group, len(partition.least)
    floor = np.bincount(group, lower, number)
    roof = np.bincount(group, upper, number)
    least, most = floor.copy(), roof.copy()
    has = partition.least >= 0
    least[has] = np.maximum(floor[has], -bound[partition.least[has]])
    has = partition.most >= 0
    most[has] = np.minimum(roof[has], bound[partition.most[has]])
    if (least > most + SLACK).any() or least.sum() > 1 + SLACK or most.sum() < 1 - SLACK:
        return None
    weights, settled = np.zeros(len(level)), np.zeros(number, dtype=bool)
    left = 1.0
    while True:
        free = ~settled[group]
        if not free.any():
            return weights
        weights[free] = nearest(level[free], lower[free], upper[free], left)
        amount = np.bincount(group, weights, number)
        over = np.where(settled, 0.0, np.maximum(amount - most, 0.0))
        under = np.where(settled, 0.0, np.maximum(least - amount, 0.0))
        if max(over.max(), under.max()) <= SLACK:
            return weights
        upwards = over.sum() >= under.sum()
        for one in np.flatnonzero(over if upwards else under):
            total = float(most[one] if upwards else least[one])
            inside = group == one
            weights[inside] = nearest(level[inside], lower[inside], upper[inside], total)
            settled[one] = True
            left -= total
