"""From constraints, which name things, to arrays."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from policies.allocation.constraint import KINDS, Constraint, Kind, Row
from policies.allocation.constraints import Change
from policies.allocation.feasible_set import NOBODY, FeasibleSet
from policies.allocation.scope import Scope
from policies.policy import Task
from policies.signals import Array


def compile_constraints(
    constraints: Sequence[Constraint], scope: Scope, task: Task, reserve: float = 0.0
) -> FeasibleSet:
    """The arrays of all constraints together."""
    rows = tuple(_rows(constraints, scope))
    size = task.num_domains
    lower, upper, cap = np.zeros(size), np.ones(size), np.full(size, np.inf)
    owner = {name: np.full(size, NOBODY) for name in ("lower", "upper", "cap")}
    kind = {name: np.full(size, KINDS.index("whole_run")) for name in ("lower", "upper")}
    dense: dict[bool, list[tuple[Row, int]]] = {False: [], True: []}
    for row, by, whole in rows:
        if len(row.domains) > 1:
            dense[whole].append((row, by))
            continue
        domain, sign = int(row.domains[0]), float(row.coefficients[0])
        value = row.bound / sign
        if whole:
            name, bounds, tighter = "cap", cap, value < cap[domain]
        elif sign > 0:
            name, bounds, tighter = "upper", upper, value < upper[domain]
        else:
            name, bounds, tighter = "lower", lower, value > lower[domain]
        if tighter:
            bounds[domain], owner[name][domain] = value, by
            if not whole:
                kind[name][domain] = KINDS.index(row.kind)
    change, change_owner = _tightest(constraints, "total_variation")
    divergence, divergence_owner = _tightest(constraints, "kl")
    return FeasibleSet(
        texts=tuple(constraint.describe() for constraint in constraints),
        task=task,
        reserve=reserve,
        rows=rows,
        lower=lower,
        lower_owner=owner["lower"],
        lower_kind=kind["lower"],
        upper=upper,
        upper_owner=owner["upper"],
        upper_kind=kind["upper"],
        matrix=_matrix(dense[False], size),
        bound=np.array([row.bound for row, _ in dense[False]]),
        row_owner=np.array([by for _, by in dense[False]], dtype=np.int64),
        row_kind=np.array([KINDS.index(row.kind) for row, _ in dense[False]], dtype=np.int64),
        cap=cap,
        cap_owner=owner["cap"],
        totals=_matrix(dense[True], size),
        budget=np.array([row.bound for row, _ in dense[True]]),
        total_owner=np.array([by for _, by in dense[True]], dtype=np.int64),
        change=change,
        change_owner=change_owner,
        divergence=divergence,
        divergence_owner=divergence_owner,
    )


def _rows(constraints: Sequence[Constraint], scope: Scope) -> Iterator[tuple[Row, int, bool]]:
    for by, constraint in enumerate(constraints):
        for whole, rows in (
            (False, constraint.each_step(scope)),
            (True, constraint.whole_run(scope)),
        ):
            for row in rows:
                kind: Kind = "whole_run" if whole else row.kind
                yield row._replace(kind=kind), by, whole


def _matrix(rows: Sequence[tuple[Row, int]], size: int) -> Array:
    matrix = np.zeros((len(rows), size))
    for line, (row, _) in zip(matrix, rows, strict=True):
        line[row.domains] = row.coefficients
    return matrix


def _tightest(constraints: Sequence[Constraint], measure: str) -> tuple[float, int]:
    """The smallest change allowed in a measure, and whose it is."""
    found = [
        (constraint.maximum, by)
        for by, constraint in enumerate(constraints)
        if isinstance(constraint, Change) and constraint.measure == measure
    ]
    return min(found, default=(math.inf, NOBODY))
