"""The mean mixture of all steps after one: whether there is one, and what rules it out if not."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from policies.allocation import multipliers
from policies.allocation.feasible_set import FeasibleSet, Limits
from policies.allocation.filling import FAINTEST, ones
from policies.signals import Array

# What a linear program leaves of no infeasibility, in shares of this step.
LEFT_OVER = 1e-10


class Cut(NamedTuple):
    """An inequality ``row @ p <= bound`` that every mixture with a later one keeps.

    Attributes:
        row: Shape (k,).
        bound: A number.
        duals: Of the inequalities it follows from, by their names, for a dual of one.
    """

    row: Array
    bound: float
    duals: dict[str, Array]


class Later:
    """Looks for later mixtures.

    With p for one step and m after it, the whole run asks for ``weight p + (1 - weight) m <= room``
    and for the like of budgets. For a given p the former are bounds of m.
    """

    def __init__(self, feasible: FeasibleSet) -> None:
        self._feasible = feasible
        self._lines = np.concatenate([feasible.matrix, feasible.totals])
        self._last: Array | None = None

    def exists(self, weights: Array, limits: Limits, tolerance: float) -> bool:
        """Whether there is one; in a close call the answer may be a false no, never a false yes.

        Args:
            weights: For this step, within its own limits, shape (k,).
            limits: Of the step.
            tolerance: What may be broken, over all that is left of the run.
        """
        rest = 1 - limits.weight
        if rest <= 0:
            return self._serves(weights, weights, limits, tolerance)
        if len(self._lines) == 0:
            most = np.minimum(rest * limits.upper, limits.room - limits.weight * weights)
            return float(most.dot(ones(len(most)))) >= rest - tolerance
        if self._last is not None and self._serves(weights, self._last, limits, tolerance):
            return True
        half = tolerance / 2
        roomiest = self._roomiest(
            weights,
            replace(
                limits,
                bound=limits.bound + half,
                room=limits.room + half,
                budget=limits.budget + half,
            ),
        )
        if roomiest is None or not self._serves(weights, roomiest, limits, tolerance):
            return False
        self._last = roomiest
        return True

    def _serves(self, weights: Array, later: Array, limits: Limits, tolerance: float) -> bool:
        """Whether a mixture that keeps the constraints of a step would do for all later steps."""
        run = limits.weight * weights + (1 - limits.weight) * later
        if (run > limits.room + tolerance).any() or (
            (self._feasible.matrix @ later) > limits.bound + tolerance
        ).any():
            return False
        return not (self._feasible.totals @ run > limits.budget + tolerance).any()

    def _roomiest(self, weights: Array, limits: Limits) -> Array | None:
        """The one nearest to the room there is: using all of it up alike, it will serve longest."""
        lower, upper, bound = self._left(weights, limits)
        level = np.maximum(upper, FAINTEST)
        problem = multipliers.Coupled(
            objective="kl",
            level=level / float(level.sum()),
            lower=lower,
            upper=upper,
            matrix=self._lines,
            bound=bound,
            previous=weights,
            change=np.inf,
            divergence=np.inf,
        )
        found = multipliers.solve(problem)
        return None if found is None else found.weights

    def _left(self, weights: Array, limits: Limits) -> tuple[Array, Array, Array]:
        """Bounds of the later mixture and right sides of its rows."""
        part, rest = limits.weight, 1 - limits.weight
        upper = np.minimum(limits.upper, (limits.room - part * weights) / rest)
        budget = (limits.budget - part * (self._feasible.totals @ weights)) / rest
        lower = np.minimum(limits.lower, upper)
        return lower, upper, np.concatenate([limits.bound, budget])

    def cut(self, weights: Array, limits: Limits) -> Cut | None:
        """An inequality that this mixture breaks and those with a later one keep; None for none.

        A linear program looks for the later mixture that breaks its limits least; from the duals
        follows by how much at least every other p breaks them (Benders 1962).
        """
        part, rest = limits.weight, 1 - limits.weight
        if rest <= 0:
            return None
        lower, upper, bound = self._left(weights, limits)
        found = _least_broken(self._lines, lower, upper, bound)
        if found.x is None or found.fun * rest / part <= LEFT_OVER:
            return None
        rows = -found.ineqlin.marginals
        matrix, totals = self._feasible.matrix, self._feasible.totals
        budget = rows[len(matrix) :] / rest
        # Where the room, rather than the upper bound, is what m may have.
        roomy = limits.upper > (limits.room - part * weights) / rest
        over = -found.upper.marginals[: len(weights)]
        room = np.where(roomy, over / rest, 0.0)
        row = part * (room + budget @ totals)
        capped = self._feasible.capped
        duals = {
            "bound later": rows[: len(matrix)],
            "budget": budget,
            "room": room[capped],
            "upper later": np.where(roomy, 0.0, over),
            "lower later": found.lower.marginals[: len(weights)],
        }
        return Cut(row, float(row @ weights) - float(found.fun), duals)


def _least_broken(lines: Array, lower: Array, upper: Array, bound: Array) -> Any:
    """The mixture within bounds that breaks its rows, or the sum of one, by the least.

    The variables are the mixture, what the worst row is broken by, and what the sum lacks and has
    too much.
    """
    from scipy.optimize import linprog
    from scipy.sparse import csr_array

    count, size = lines.shape
    broken = np.tile([-1.0, 0.0, 0.0], (count, 1))
    # Its types know of dense matrices only, which many rows of 2,000 domains would make large.
    matrix: Any = csr_array(np.concatenate([lines, broken], axis=1)) if count else None
    ends: Any = np.stack([np.append(lower, np.zeros(3)), np.append(upper, np.full(3, np.inf))], 1)
    return linprog(
        np.append(np.zeros(size), np.ones(3)),
        A_ub=matrix,
        b_ub=bound if count else None,
        A_eq=np.append(np.ones(size), [0.0, 1.0, -1.0])[None],
        b_eq=np.ones(1),
        bounds=ends,
        method="highs-ds",
        options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
    )
