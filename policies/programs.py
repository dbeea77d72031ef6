"""Solving convex programs so that a bad one costs an answer and never a run."""

from __future__ import annotations

import importlib
import warnings
from functools import lru_cache
from typing import Any

import numpy as np

from policies.signals import Array

# Clarabel is exact and deterministic; SCS copes with programs that are badly scaled. Iterations are
# limited, not seconds: a clock would make answers depend on the machine and what else it does.
SOLVERS: dict[str, dict[str, float | int]] = {
    "CLARABEL": {"max_iter": 200},
    "SCS": {"eps_abs": 1e-8, "eps_rel": 1e-8, "max_iters": 5000},
}


def load_cvxpy() -> Any:
    """The module cvxpy, which takes a second to load: only who solves a program should wait."""
    return importlib.import_module("cvxpy")


@lru_cache(maxsize=1)
def installed_solvers() -> frozenset[str]:
    """Names of the solvers there are; cvxpy takes 20 ms to look for them."""
    return frozenset(load_cvxpy().installed_solvers())


def solve(problem: Any) -> bool:
    """Solve a program in place, with the first installed solver that reaches full accuracy.

    Every solve starts from nothing, so that the answer depends on the program alone and not on
    what was solved before it: a problem may be built once, its parameters set for each solve.

    Args:
        problem: A ``cvxpy.Problem``.

    Returns:
        Whether the variables hold an optimum. They must not be read otherwise.
    """
    cp = load_cvxpy()
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # An inaccurate solution counts as none: nothing to say.
        for solver, settings in SOLVERS.items():
            if solver not in installed_solvers():
                continue
            try:
                problem.solve(solver=solver, warm_start=False, **settings)
            except (cp.SolverError, ArithmeticError, ValueError):
                continue
            if problem.status == cp.OPTIMAL:
                return True
    return False


def on_simplex(values: Array) -> Array:
    """A solver's answer, which keeps to the simplex only nearly, put on it exactly: shape (k,).

    Raises:
        ValueError: The answer is nowhere near the simplex.
    """
    positive = np.maximum(values, 0.0)
    total = float(positive.sum())
    if not 0.5 < total < 2:
        raise ValueError(f"a mixture must sum to about one, got {total}")
    weights: Array = positive / total
    return weights


def relative_entropy(weights: Any, log_reference: Any) -> Any:
    """``KL(weights || reference)`` as a convex expression in the weights.

    Written with the entropy: cvxpy's own ``kl_div`` fails where the reference is extreme, and does
    not allow the reference to be a parameter.

    Args:
        weights: The mixture, a cvxpy expression of shape (k,).
        log_reference: Logarithm of the reference mixture, finite, an expression of shape (k,).
    """
    cp = load_cvxpy()

    return -cp.sum(cp.entr(weights)) - log_reference @ weights
