"""Which constraints contradict each other before anything was drawn."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

import numpy as np

from policies.allocation.feasible_set import FeasibleSet


def smallest_conflict(feasible: FeasibleSet) -> tuple[int, ...]:
    """Constraints that cannot all be kept, though they could without any one of them.

    One mixture for the whole run decides, as any run that keeps the constraints has a mean mixture
    that keeps them. From the constraints those are deleted, one after the other, without which the
    rest is still in conflict (the deletion filter of Chinneck and Dravnieks 1991).

    Returns:
        Places of the constraints; empty where there is no conflict.
    """
    remaining = set(range(len(feasible.texts)))
    if _possible(feasible, remaining):
        return ()
    for constraint in sorted(remaining):
        if not _possible(feasible, remaining - {constraint}):
            remaining.remove(constraint)
    return tuple(sorted(remaining))


def _possible(feasible: FeasibleSet, kept: Set[int]) -> bool:
    """Whether some mixture keeps these constraints."""
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    rows = [(row, whole) for row, owner, whole in feasible.rows if owner in kept]
    if not rows:
        return True
    size, total = feasible.task.num_domains, float(feasible.task.total_tokens)
    line = np.repeat(np.arange(len(rows)), [len(row.domains) for row, _ in rows])
    column = np.concatenate([row.domains for row, _ in rows])
    value = np.concatenate([row.coefficients for row, _ in rows])
    # Its types know of dense matrices only, which floors of 2,000 domains would make large.
    matrix: Any = csr_array((value, (line, column)), shape=(len(rows), size))
    found = linprog(
        np.zeros(size),
        A_ub=matrix,
        b_ub=np.array([row.bound / total if whole else row.bound for row, whole in rows]),
        A_eq=np.ones((1, size)),
        b_eq=np.ones(1),
        bounds=(0, 1),
        method="highs",
    )
    return bool(found.status == 0)
