"""The nearest mixture within the limits of a step: three ways to it, the cheapest first."""

from __future__ import annotations

import math
from functools import cached_property
from typing import NamedTuple

import numpy as np

from policies.allocation import multipliers
from policies.allocation.closed_form import Held, find_partition, hold, nearest_in_groups, no_groups
from policies.allocation.duals import bound_duals, group_duals, nearly_bound_duals
from policies.allocation.feasible_set import FeasibleSet, Limits
from policies.allocation.filling import FAINTEST, Objective, nearest_within, slope_between
from policies.allocation.later import Cut
from policies.allocation.membership import EXACT, Membership, half_distance, worst
from policies.allocation.program import Answer, NearestProgram
from policies.allocation.reach import nearest_in_reach
from policies.allocation.reach_kl import (
    Bounds,
    Way,
    bounds_between,
    nearest_in_divergence,
    way_between,
)
from policies.signals import Array

# What weights that are handed on may break a constraint by.
FEASIBLE = 1e-6
# How often the rest of the run may rule out what was nearest; one to three times are usual.
CUTS = 30


class Nearest(NamedTuple):
    """A solution.

    Attributes:
        weights: Shape (k,), summing to one up to rounding.
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
        size = feasible.task.num_domains
        groups = find_partition(feasible.matrix)
        self._groups = groups or no_groups(size)
        # Whether one limit on the change is all there is beside bounds, and has a closed form.
        limits = [limit < math.inf for limit in (feasible.change, feasible.divergence)]
        self._limited = len(feasible.bound) == 0 and sum(limits) == 1
        if objective == "euclidean":
            self._limited &= not limits[1]
        # Whether there is more to keep in a step than bounds and disjoint groups.
        self._coupled = groups is None or any(limits)
        # Whether what is left to a step depends on what was drawn.
        self._runs_out = len(feasible.capped) + len(feasible.budget) > 0
        # Whether a lower bound may be above an upper one.
        self._may_cross = self._runs_out or worst(feasible.lower, feasible.upper) > EXACT

    @cached_property
    def _always_held(self) -> Held | None:
        return hold(self._set.lower, self._set.upper, self._groups, self._set.bound)

    @cached_property
    def _always_bounds(self) -> Bounds:
        return bounds_between(self._set.lower, self._set.upper)

    @cached_property
    def _program(self) -> NearestProgram:
        return NearestProgram(self._set, self._objective)

    def nearest(self, proposal: Array, limits: Limits, previous: Array | None) -> Nearest | None:
        """The nearest mixture within limits; None if there is none or the solvers fail."""
        ceiling = limits.ceiling if self._runs_out else limits.upper
        if self._may_cross and worst(limits.lower, ceiling) > EXACT:
            return None
        level = np.maximum(proposal, FAINTEST) if self._objective == "kl" else proposal
        found = self._closed_form(level, limits, ceiling, previous)
        if found is None and fit(limits.lower, ceiling):
            found = self._by_multipliers(level, limits, ceiling, previous) or self._by_program(
                proposal, limits, ceiling, previous
            )
        return found

    def _closed_form(
        self, level: Array, limits: Limits, ceiling: Array, previous: Array | None
    ) -> Nearest | None:
        """The nearest mixture within bounds, if it keeps whatever else there is, too."""
        if previous is None or not self._limited:
            return self._in_groups(level, limits, ceiling, previous)
        way = way_between(previous, level) if limits.divergence < math.inf else None
        if way is None:
            near = half_distance(level, previous) <= limits.change + EXACT
        else:
            near = way.divergence <= limits.divergence + EXACT
        # Where the proposal is further away than it may be, the limit holds most often.
        if near:
            return self._in_groups(level, limits, ceiling, previous) or self._in_reach(
                level, limits, ceiling, previous, way
            )
        return self._in_reach(level, limits, ceiling, previous, way) or self._in_groups(
            level, limits, ceiling, previous
        )

    def _in_groups(
        self, level: Array, limits: Limits, ceiling: Array, previous: Array | None
    ) -> Nearest | None:
        """Within bounds of domains and of disjoint groups."""
        groups, objective, held = self._groups, self._objective, self._held(limits, ceiling)
        if held is None:
            return None
        found = nearest_in_groups(level, limits.lower, ceiling, groups, held, objective)
        if found is None or not self._keeps_rest(found.weights, limits, previous):
            return None
        duals = bound_duals(slope_between(found.weights, found.spread, objective))
        if len(found.rows):
            duals["bound"] = group_duals(found, groups.side, objective)
        return Nearest(found.weights, duals, ceiling, "closed form")

    def _held(self, limits: Limits, ceiling: Array) -> Held | None:
        """What the rows of groups come to within these bounds."""
        if self._is_constant(limits, ceiling):
            return self._always_held
        return hold(limits.lower, ceiling, self._groups, limits.bound)

    def _bounds(self, limits: Limits, ceiling: Array) -> Bounds:
        """Bounds of domains with their logarithms."""
        if self._is_constant(limits, ceiling):
            return self._always_bounds
        return bounds_between(limits.lower, ceiling)

    def _is_constant(self, limits: Limits, ceiling: Array) -> bool:
        """Whether bounds are those of every step: none of them runs out or is loosened."""
        return ceiling is self._set.upper and limits.lower is self._set.lower

    def _in_reach(
        self, level: Array, limits: Limits, ceiling: Array, previous: Array, way: Way | None
    ) -> Nearest | None:
        """Within bounds of domains, and as far from the last mixture as it may be."""
        if way is None:
            found = nearest_in_reach(
                level, limits.lower, ceiling, previous, limits.change, self._objective
            )
        else:
            bounds = self._bounds(limits, ceiling)
            found = nearest_in_divergence(way, bounds, limits.divergence)
        if found is None or not self._leaves_a_way(found.weights, limits):
            return None
        duals = bound_duals(found.slope)
        duals["change" if way is None else "divergence"] = np.array([found.price])
        return Nearest(found.weights, duals, ceiling, "closed form")

    def _keeps_rest(self, weights: Array, limits: Limits, previous: Array | None) -> bool:
        """Whether a mixture within bounds and, if they are disjoint, groups keeps the rest."""
        if self._coupled and not self._membership.keeps_coupled(weights, limits, previous, EXACT):
            return False
        return self._leaves_a_way(weights, limits)

    def _leaves_a_way(self, weights: Array, limits: Limits) -> bool:
        return self._membership.leaves_a_way(weights, limits, EXACT * limits.weight)

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
        duals = nearly_bound_duals(found.weights, found.slope, limits, ceiling)
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
    if worst(lower, upper) > EXACT:
        return False
    return bool(lower.sum() <= 1 + EXACT and upper.sum() >= 1 - EXACT)
