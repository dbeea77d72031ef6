"""Nearest mixtures within bounds of domains and of disjoint groups."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.allocation.filling import Objective, nearest_within
from policies.signals import Array

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


def nearest_in_groups(
    level: Array,
    lower: Array,
    upper: Array,
    partition: Partition,
    bound: Array,
    objective: Objective,
) -> Array | None:
    """The nearest mixture within bounds of domains and of disjoint groups, shape (k,).

    Solved without the groups' bounds first. If groups lie further above their bounds together than
    others lie below theirs, the former must end at them, otherwise the latter must; so these are
    settled, and the rest is solved again with what is left (Bitran and Hax 1981).

    Args:
        level: The proposal, shape (k,); positive for "kl".
        lower: Of each domain, shape (k,).
        upper: Of each domain, shape (k,).
        partition: The groups.
        bound: Right sides of the rows the partition was found in, shape (r,).
        objective: Which distance.

    Returns:
        None where no mixture fits.
    """
    if len(partition.least) == 1:
        return nearest_within(level, lower, upper, 1.0, objective)
    group, number = partition.group, len(partition.least)
    least, most = np.bincount(group, lower, number), np.bincount(group, upper, number)
    has = partition.least >= 0
    least[has] = np.maximum(least[has], -bound[partition.least[has]])
    has = partition.most >= 0
    most[has] = np.minimum(most[has], bound[partition.most[has]])
    if (least > most + SLACK).any() or least.sum() > 1 + SLACK or most.sum() < 1 - SLACK:
        return None
    weights, left, settled = np.empty(len(level)), 1.0, np.zeros(number, dtype=bool)
    free = np.arange(len(level))
    while len(free):
        share = nearest_within(level[free], lower[free], upper[free], left, objective)
        weights[free] = share
        amount = np.bincount(group[free], share, number)
        over = np.where(settled, 0.0, np.maximum(amount - most, 0.0))
        under = np.where(settled, 0.0, np.maximum(least - amount, 0.0))
        if max(over.max(), under.max()) <= SLACK:
            break
        ends, at = (over, most) if over.sum() >= under.sum() else (under, least)
        for one in np.flatnonzero(ends):
            inside = np.flatnonzero(group == one)
            weights[inside] = nearest_within(
                level[inside], lower[inside], upper[inside], float(at[one]), objective
            )
            left -= float(at[one])
        settled |= ends > 0
        free = np.flatnonzero(~settled[group])
    return weights
