"""Whether a mixture keeps the constraints of its step and leaves a way to keep them to the end."""

from __future__ import annotations

import numpy as np

from policies.allocation.feasible_set import FeasibleSet, Limits
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
        any_of = np.logical_or.reduce
        if any_of(weights < limits.lower - EXACT) or any_of(weights > limits.upper + EXACT):
            return False
        if self._rows and any_of(self._feasible.matrix @ weights > limits.bound + tolerance):
            return False
        return not self._moves or previous is None or _near(weights, previous, limits, tolerance)

    def can_go_on(self, weights: Array, limits: Limits, tolerance: float) -> bool:
        """Whether the rest of the run can keep the constraints after this mixture.

        Args:
            weights: What keeps the constraints of the step, shape (k,).
            limits: Of the step.
            tolerance: What may be broken, over all that is left of the run.
        """
        if not self._runs_out or self._may_stay(weights, limits):
            return True
        if np.logical_or.reduce(weights > limits.ceiling + EXACT):
            return False
        return self.later.exists(weights, limits, tolerance)

    def _may_stay(self, weights: Array, limits: Limits) -> bool:
        """Whether all later steps may have the same mixture."""
        if np.logical_or.reduce(weights > limits.room):
            return False
        budget = limits.budget
        return not len(budget) or not (self._feasible.totals @ weights > budget).any()


def _near(weights: Array, previous: Array, limits: Limits, tolerance: float) -> bool:
    """Whether the step from the last mixture is small enough."""
    if float(np.add.reduce(np.abs(weights - previous))) / 2 > limits.change + tolerance:
        return False
    if not np.isfinite(limits.divergence):
        return True
    some = weights > 0
    before = np.maximum(previous[some], 1e-12)
    divergence = float(weights[some] @ np.log(weights[some] / before))
    return divergence <= limits.divergence + tolerance
