"""The feasible set within the program of a goal: filled in before it is solved, read after."""

from __future__ import annotations

from typing import Any

import numpy as np

from policies.allocation.feasible_set import FeasibleSet, Limits
from policies.allocation.program import Answer, feasible_parts, fill_in
from policies.signals import Array


class FeasibleMixture:
    """A mixture that keeps all constraints, as a variable of a program.

    Attributes:
        variable: Of cvxpy, shape (k,).
        constraints: Of cvxpy; a program over the variable must hold them all.
    """

    def __init__(self, feasible: FeasibleSet) -> None:
        self._feasible = feasible
        self._parts = feasible_parts(feasible, {})
        self.variable: Any = self._parts.mixture
        self.constraints: list[Any] = list(self._parts.constraints.values())

    def fill(self, limits: Limits, previous: Array | None) -> None:
        """Say what the constraints are in a step.

        Args:
            limits: Those of the step.
            previous: The mixture of the step before, shape (k,); None before the first step.
        """
        fill_in(self._parts, self._feasible, limits, limits.ceiling, previous)

    def answer(self, problem: Any, scale: float = 1.0) -> Answer:
        """The mixture that a solved program found, and its duals.

        Args:
            problem: The program; it minimises.
            scale: How many times the value its objective is; the duals are those of the value.
        """
        duals = {
            name: np.atleast_1d(np.asarray(constraint.dual_value, dtype=np.float64)) / scale
            for name, constraint in self._parts.constraints.items()
            if not name.startswith("sum")
        }
        return Answer(self.variable.value, duals, str(problem.solver_stats.solver_name))
