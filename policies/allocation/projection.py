"""The nearest mixture within the limits of a step: three ways to it, the cheapest first."""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import numpy as np

from policies.allocation import multipliers
from policies.allocation.closed_form import find_partition, nearest_in_groups, one_group
from policies.allocation.duals import bound_duals, closed_form_duals
from policies.allocation.feasible_set import FeasibleSet, Limits
from policies.allocation.filling import FAINTEST, Objective, nearest_within
from policies.allocation.later import Cut
from policies.allocation.membership import EXACT, Membership
from policies.allocation.program import Answer, NearestProgram
from policies.allocation.reach import nearest_in_reach
from policies.signals import Array

# What weights that are handed on may break a constraint by.
FEASIBLE = 1e-6
# How often the rest of the run may rule out what was nearest; one to three times are usual.
CUTS = 30


class Nearest(NamedTuple):
    """A solution.

    Attributes:
        weights: Shape (k,), summing to one.
        duals: Of the inequalities, by their names.
        ceiling: Upper bounds that were in force, shape (k,).
        how: "closed form", "multipliers" or a solver's name.
    """

    weights: Array
    duals: dict[str, Array]
    ceiling: Array
    how: str


class Projection:
    """Finds it in closed form, by the multipliers of what couples the domains, or by a program.

    Closed forms and multipliers are exact to rounding and know the constraints of this step alone.
    A mixture that is nearest under these and leaves a way to keep the constraints to the end is
    nearest under all of them. If it leaves none, an inequality that says so joins the constraints
    of the step, and it is looked for again.
    """

    def __init__(self, feasible: FeasibleSet, objective: Objective, membership: Membership) -> None:
        self._set = feasible
        self._objective: Objective = objective
        self._membership = membership
        self._partition = find_partition(feasible.matrix)
        self._alone = one_group(feasible.task.num_domains)
        # Whether what is left to a step depends on what was drawn.
        self._runs_out = len(feasible.capped) + len(feasible.budget) > 0

    @cached_property
    def _program(self) -> NearestProgram:
        return NearestProgram(self._set, self._objective)

    def nearest(self, proposal: Array, limits: Limits, previous: Array | None) -> Nearest | None:
        """The nearest mixture within limits; None if there is none or the solvers fail."""
        ceiling = limits.ceiling if self._runs_out else limits.upper
        level = np.maximum(proposal, FAINTEST) if self._objective == "kl" else proposal
        found = self._closed_form(level, limits, ceiling, previous)
        if found is None and fit(limits.lower, ceiling):
            found = self._by_multipliers(level, limits, ceiling, previous) or self._by_program(
                proposal, limits, ceiling, previous
            )
        if found is None:
            return None
        return found._replace(weights=found.weights / float(found.weights.sum()))

    def _closed_form(
        self, level: Array, limits: Limits, ceiling: Array, previous: Array | None
    ) -> Nearest | None:
        """The nearest mixture within bounds, if it keeps whatever else there is, too."""
        groups, objective = self._partition or self._alone, self._objective
        try:
            weights = nearest_in_groups(
                level, limits.lower, ceiling, groups, limits.bound, objective
            )
        except ValueError:
            return None
        if weights is None:
            return None
        if self._keeps(weights, limits, previous):
            duals = closed_form_duals(weights, level, limits, ceiling, groups, objective)
            return Nearest(weights, duals, ceiling, "closed form")
        if previous is None or not np.isfinite(limits.change):
            return None
        if len(limits.bound) or np.isfinite(limits.divergence):
            return None
        within = limits.lower, ceiling
        reached = nearest_in_reach(level, *within, previous, limits.change, objective)
        if reached is None or not self._keeps(reached.weights, limits, previous):
            return None
        duals = bound_duals(reached.weights, reached.slope, limits, ceiling)
        duals["change"] = np.array([reached.price])
        return Nearest(reached.weights, duals, ceiling, "closed form")

    def _keeps(self, weights: Array, limits: Limits, previous: Array | None) -> bool:
        return self._membership.keeps(weights, limits, previous, EXACT)

    def _by_multipliers(
        self, level: Array, limits: Limits, ceiling: Array, previous: Array | None
    ) -> Nearest | None:
        """Constraints of this step first, then as many as needed of those on the rest of it."""
        moves, diverges = (
            previous is not None and bool(np.isfinite(limit))
            for limit in (limits.change, limits.divergence)
        )
        if diverges and self._objective != "kl":
            return None
        problem = multipliers.Coupled(
            objective=self._objective,
            level=level,
            lower=limits.lower,
            upper=ceiling,
            matrix=self._set.matrix,
            bound=limits.bound,
            previous=level if previous is None else previous,
            change=limits.change if moves else np.inf,
            divergence=limits.divergence if diverges else np.inf,
        )
        cuts: list[Cut] = []
        while len(cuts) <= CUTS:
            found = multipliers.solve(problem)
            if found is None:
                return None
            if self._membership.can_go_on(found.weights, limits, EXACT * limits.weight):
                return self._solution(found, limits, ceiling, cuts)
            cut = self._membership.later.cut(found.weights, limits)
            if cut is None:
                return self._solution(found, limits, ceiling, cuts)
            cuts.append(cut)
            problem = problem._replace(
                matrix=np.concatenate([problem.matrix, cut.row[None]]),
                bound=np.append(problem.bound, cut.bound),
            )
        return None

    def _solution(
        self, found: multipliers.Multipliers, limits: Limits, ceiling: Array, cuts: list[Cut]
    ) -> Nearest:
        rows = len(limits.bound)
        duals = bound_duals(found.weights, found.slope, limits, ceiling)
        duals["bound"] = found.bound[:rows]
        duals["change"] = np.array([found.change])
        duals["divergence"] = np.array([found.divergence])
        for price, cut in zip(found.bound[rows:], cuts, strict=True):
            for name, values in cut.duals.items():
                duals[name] = duals.get(name, 0.0) + price * values
        return Nearest(found.weights, duals, ceiling, "multipliers")

    def _by_program(
        self, proposal: Array, limits: Limits, ceiling: Array, previous: Array | None
    ) -> Nearest | None:
        answer = self._program.solve(proposal, limits, previous)
        return None if answer is None else self.accept(answer, limits, ceiling, previous)

    def accept(
        self, answer: Answer, limits: Limits, ceiling: Array, previous: Array | None
    ) -> Nearest | None:
        """A program's answer within its bounds exactly; None if it breaks anything else."""
        level = np.maximum(answer.weights, FAINTEST)
        try:
            weights = nearest_within(level, limits.lower, ceiling, 1.0, "kl")
        except ValueError:
            return None
        keeps = self._membership
        if not keeps.keeps_now(weights, limits, previous, FEASIBLE):
            return None
        if not keeps.can_go_on(weights, limits, FEASIBLE):
            return None
        return Nearest(weights, answer.duals, ceiling, answer.solver)


def fit(lower: Array, upper: Array) -> bool:
    """Whether a mixture fits between these bounds."""
    if (lower > upper + EXACT).any():
        return False
    return bool(lower.sum() <= 1 + EXACT and upper.sum() >= 1 - EXACT)
