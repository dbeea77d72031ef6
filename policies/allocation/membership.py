"""Whether a mixture keeps the constraints of its step and leaves a way to keep them to the end."""

from __future__ import annotations

import numpy as np

from policies.allocation.feasible_set import FeasibleSet, Limits
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
        self._capped = feasible.capped
        self._later: Array | None = None

    def keeps(
        self,
        weights: Array,
        limits: Limits,
        previous: Array | None,
        tolerance: float = NEARLY,
    ) -> bool:
        """Whether nothing at all is broken by more than the tolerance."""
        if (weights < limits.lower - EXACT).any() or (weights > limits.upper + EXACT).any():
            return False
        if self._rows and ((self._feasible.matrix @ weights) > limits.bound + tolerance).any():
            return False
        if self._moves and previous is not None and not _near(weights, previous, limits, tolerance):
            return False
        if len(self._capped) == 0 and len(limits.budget) == 0:
            return True
        return self._can_go_on(weights, limits, tolerance)

    def _can_go_on(self, weights: Array, limits: Limits, tolerance: float) -> bool:
        """Whether the rest of the run can keep the constraints after this mixture."""
        if self._is_later(weights, weights, limits, EXACT):
            return True  # As it is now it may stay.
        if (weights > limits.ceiling + EXACT).any():
            return False
        rest = 1 - limits.weight
        if not self._rows and len(limits.budget) == 0:
            most = np.minimum(rest * limits.upper, limits.room - limits.weight * weights)
            return float(most.sum()) >= rest - tolerance
        later = self._later
        if later is not None and self._is_later(weights, later, limits, tolerance):
            return True
        self._later = self._find_later(weights, limits)
        return self._later is not None and self._is_later(weights, self._later, limits, tolerance)

    def _is_later(self, weights: Array, later: Array, limits: Limits, tolerance: float) -> bool:
        """Whether a mixture that keeps the constraints of a step would do for all later steps."""
        run = limits.weight * weights + (1 - limits.weight) * later
        if (run > limits.room + tolerance).any():
            return False
        if len(limits.budget) == 0:
            return True
        return not (self._feasible.totals @ run > limits.budget + tolerance).any()

    def _find_later(self, weights: Array, limits: Limits) -> Array | None:
        """The mixture for later steps that leaves most to spare, so that it may serve again."""
        from scipy.optimize import linprog

        size, rest = len(weights), 1 - limits.weight
        if rest <= 0:
            return weights
        totals, capped = self._feasible.totals, self._capped
        sides = [
            (self._feasible.matrix, limits.bound, 0.0),
            (rest * np.eye(size)[capped], (limits.room - limits.weight * weights)[capped], 1.0),
            (rest * totals, limits.budget - limits.weight * (totals @ weights), 1.0),
        ]
        lines = [np.column_stack([left, np.full(len(left), spare)]) for left, _, spare in sides]
        found = linprog(
            np.append(np.zeros(size), -1.0),
            A_ub=np.concatenate(lines),
            b_ub=np.concatenate([right for _, right, _ in sides]),
            A_eq=np.append(np.ones(size), 0.0)[None],
            b_eq=np.ones(1),
            bounds=[*zip(limits.lower, limits.upper, strict=True), (-1, 1)],
            method="highs",
        )
        return None if found.x is None else np.asarray(found.x[:size])


def _near(weights: Array, previous: Array, limits: Limits, tolerance: float) -> bool:
    """Whether the step from the last mixture is small enough."""
    if np.abs(weights - previous).sum() / 2 > limits.change + tolerance:
        return False
    if not np.isfinite(limits.divergence):
        return True
    some = weights > 0
    before = np.maximum(previous[some], 1e-12)
    divergence = float(weights[some] @ np.log(weights[some] / before))
    return divergence <= limits.divergence + tolerance
