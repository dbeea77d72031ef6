"""Minimising over mixtures, with a bound on how far from the minimum the answer is."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

import numpy as np

from policies.signals import Array

Objective: TypeAlias = Callable[[Array], tuple[float, Array]]
"""From g mixtures, shape (g, k), to a value and its gradient, shape (g, k)."""

# Part of a mixture given to domains that were all but dropped and turn out to be wanted.
REVIVAL = 1e-3


class Minimum(NamedTuple):
    """Where a descent ended.

    Attributes:
        value: The objective there.
        mixtures: One mixture per part of the run, shape (g, k).
        gap: How far at most the value is above the minimum if the objective is convex.
    """

    value: float
    mixtures: Array
    gap: float


def minimise(
    objective: Objective, start: Array, *, tolerance: float = 1e-7, restarts: int = 8
) -> Minimum:
    """Descend from given mixtures, shape (g, k), each row a point on the simplex.

    L-BFGS on the logits of the mixtures. A convex objective has no other stationary point there
    than its minimum, apart from faces that a start inside does not reach.

    Args:
        objective: What to minimise.
        start: Where to start; zeros are moved inside.
        tolerance: The gap at which the descent is begun no further time.
        restarts: How often it is begun at most; each time it forgets the curvature it has met.
    """
    from scipy.optimize import minimize

    shape = start.shape

    def of_logits(logits: Array) -> tuple[float, Array]:
        mixtures = _softmax(logits.reshape(shape))
        value, gradient = objective(mixtures)
        mean = (mixtures * gradient).sum(axis=1, keepdims=True)
        return value, (mixtures * (gradient - mean)).ravel()

    lowest, best, bound = np.inf, start, -np.inf
    for _ in range(restarts):
        logits = np.log(np.maximum(start, 1e-12)).ravel()
        found = minimize(
            of_logits,
            logits,
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": 500, "maxfun": 1000, "ftol": 1e-15, "gtol": 1e-13, "maxcor": 20},
        )
        mixtures = _softmax(found.x.reshape(shape))
        value, gradient = objective(mixtures)
        bound = max(bound, value - linear_gap(mixtures, gradient))
        if value < lowest:
            lowest, best = value, mixtures
        if lowest - bound <= tolerance:
            break
        start = _revive(mixtures, gradient)
    return Minimum(lowest, best, lowest - bound)


def _revive(mixtures: Array, gradient: Array) -> Array:
    """A little of every domain that lowers the objective, where logits would take forever."""
    wanted = gradient < (mixtures * gradient).sum(axis=1, keepdims=True)
    extra = wanted / np.maximum(wanted.sum(axis=1, keepdims=True), 1)
    revived: Array = mixtures + REVIVAL * extra
    revived /= revived.sum(axis=1, keepdims=True)
    return revived


def linear_gap(mixtures: Array, gradient: Array) -> float:
    """By how much the tangent at these mixtures falls to its lowest point (Frank-Wolfe's gap).

    A convex function lies above its tangent: it is nowhere lower by more than this.
    """
    return float(((mixtures * gradient).sum(axis=1) - gradient.min(axis=1)).sum())


def _softmax(logits: Array) -> Array:
    exponentials: Array = np.exp(logits - logits.max(axis=1, keepdims=True))
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials
