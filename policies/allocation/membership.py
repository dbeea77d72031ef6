"""Whether a mixture keeps the constraints of its step and leaves a way to keep them to the end."""

from __future__ import annotations

import math

import numpy as np

from policies.allocation.feasible_set import FeasibleSet, Limits
from policies.allocation.filling import FAINTEST, NOTHING, ones
from policies.allocation.later import Later
from policies.signals import Array

# Bounds of single domains are kept to this, as they can be.
EXACT = 1e-9
# Everything else, which may come from a solver, to this.
NEARLY = 1e-7


class Membership:
    """Decides without a solver where it can, since most proposals are within the constraints."""

    def __init__(self, feasible: FeasibleSet) -> None:
        self._feasible = feasible
        self._rows = len(feasible.bound) > 0
        self._moves = bool(np.isfinite(feasible.change) or np.isfinite(feasible.divergence))
        self._runs_out = len(feasible.capped) > 0 or len(feasible.budget) > 0
        # Whether nothing but bounds of domains holds for later steps.
        self._only_bounds = len(feasible.bound) == 0 and len(feasible.budget) == 0
        self.later = Later(feasible)

    def keeps(
        self,
        weights: Array,
        limits: Limits,
        previous: Array | None,
        tolerance: float = NEARLY,
    ) -> bool:
        """Whether nothing at all is broken by more than the tolerance, in shares of this step."""
        return self.keeps_now(weights, limits, previous, tolerance) and self.can_go_on(
            weights, limits, tolerance * limits.weight
        )

    def keeps_now(
        self, weights: Array, limits: Limits, previous: Array | None, tolerance: float
    ) -> bool:
        """Whether the step itself is within the constraints."""
        return self._within(weights, limits) and self.keeps_coupled(
            weights, limits, previous, tolerance
        )

    def keeps_coupled(
        self, weights: Array, limits: Limits, previous: Array | None, tolerance: float
    ) -> bool:
        """Whether what holds for several domains together is kept in the step itself."""
        if self._rows and not worst(self._feasible.matrix.dot(weights), limits.bound) <= tolerance:
            return False
        return not self._moves or previous is None or near(weights, previous, limits, tolerance)

    def can_go_on(self, weights: Array, limits: Limits, tolerance: float) -> bool:
        """Whether the rest of the run can keep the constraints after this mixture.

        Args:
            weights: What keeps the constraints of the step, shape (k,).
            limits: Of the step.
            tolerance: What may be broken, over all that is left of the run.
        """
        if not self._runs_out or self._may_stay(weights, limits):
            return True
        return worst(weights, limits.ceiling) <= EXACT and self.later.exists(
            weights, limits, tolerance
        )

    def leaves_a_way(self, weights: Array, limits: Limits, tolerance: float) -> bool:
        """The same of a mixture that is within ``ceiling``."""
        if not self._runs_out or (self._only_bounds and limits.ample):
            return True
        return self._may_stay(weights, limits) or self.later.exists(weights, limits, tolerance)

    def _within(self, weights: Array, limits: Limits) -> bool:
        """Whether the bounds of domains are kept."""
        return worst(limits.lower, weights) <= EXACT and worst(weights, limits.upper) <= EXACT

    def _may_stay(self, weights: Array, limits: Limits) -> bool:
        """Whether all later steps may have the same mixture."""
        if not worst(weights, limits.room) <= 0:
            return False
        budget = limits.budget
        return not len(budget) or not (self._feasible.totals @ weights > budget).any()


def half_distance(one: Array, other: Array) -> float:
    """Total variation between two mixtures."""
    return float(np.abs(one - other).dot(ones(len(one)))) / 2


def worst(some: Array, bound: Array) -> float:
    """By how much an entry exceeds its bound at most; NaN where one is NaN."""
    beyond = some - bound
    # Thrice as quick as `max` for some hundred entries.
    return float(beyond.item(beyond.argmax()))


def near(weights: Array, previous: Array, limits: Limits, tolerance: float) -> bool:
    """Whether the step from the last mixture is small enough."""
    if half_distance(weights, previous) > limits.change + tolerance:
        return False
    if not math.isfinite(limits.divergence):
        return True
    before = np.maximum(previous, FAINTEST)
    diverged = float(weights.dot(np.log(np.maximum(weights, NOTHING) / before)))
    return diverged <= limits.divergence + tolerance
