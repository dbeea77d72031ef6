"""From what a policy proposes to the nearest or best mixture that is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np

from policies.allocation.compilation import compile_constraints
from policies.allocation.conflicts import smallest_conflict
from policies.allocation.constraint import Constraint
from policies.allocation.constraints import Epochs
from policies.allocation.duals import binding
from policies.allocation.feasible_set import Limits
from policies.allocation.filling import FAINTEST, nearest_within, ones
from policies.allocation.goal_programs import best_feasible
from policies.allocation.membership import Membership
from policies.allocation.program import SlackProgram, loosened
from policies.allocation.projection import FEASIBLE, Nearest, Projection, fit
from policies.allocation.scope import Scope
from policies.goals import Goal
from policies.policy import Task
from policies.signals import Array

Aim: TypeAlias = Literal["kl", "euclidean", "goal"]
"""What is made best within the constraints: a distance from the proposal, or the policy's goal."""

UNIT = {"kl": "nats", "euclidean": "squared shares"}
"""Of the distances."""
# Slack that is more than what a solver leaves of none.
RELAXED = 1e-6


class Allocation(NamedTuple):
    """The mixture of one step and how it came about.

    Attributes:
        weights: Shape (k,), summing to one.
        binding: Constraints that keep the mixture from the proposal, as the user wrote them, with
            their duals: how much the distance, or the policy's goal, would fall per share by which
            the constraint is loosened in this step. Largest first.
        relaxed: Constraints that could not be kept any more and were loosened.
        how: "unchanged", "closed form", "multipliers", a solver's name, or, where all of them
            failed, "last weights" or "bounds only".
        failures: 1 where everything failed.
        unit: Of the duals, before "per share".
    """

    weights: Array
    binding: tuple[tuple[str, float], ...] = ()
    relaxed: tuple[str, ...] = ()
    how: str = "unchanged"
    failures: int = 0
    unit: str = ""


class Allocator:
    r"""Makes mixtures feasible, for every policy alike.

    The nearest feasible mixture to the proposal q minimises ``sum_i p_i log(p_i / q_i)`` ("kl") or
    ``sum_i (p_i - q_i)^2`` ("euclidean"). Where a decision carries a goal (`policies.goals`) and
    that is the objective, it is instead the best feasible mixture by that goal, always a convex
    program; a decision without one, or whose program fails, is served the nearest in KL.

    A proposal that is feasible comes back as it is. Bounds of domains and of disjoint groups have
    closed forms, and so have bounds of domains with a limit on the change from the last mixture,
    except in "kl" where the objective is "euclidean". What else couples the domains is solved by
    its multipliers, by Newton's method, and where this does not get through, as a convex program.

    What holds over the whole run, epochs and budgets, is kept from the first step on: a mixture is
    feasible only if some mean mixture of the steps after it keeps everything to the end. Where the
    change per step is limited, there must be time to get from one to the other. (Under a limit in
    "kl" this is known only if every domain has a positive minimum.)

    What cannot be kept any more in the middle of a run is loosened by as little as possible, and
    first what matters least: the change per step, minimum shares, ratios, maximum shares, and last
    what holds for the whole run and the mean cost.

    Everything that changes in a run is an argument of `allocate`: there is nothing to store.

    Args:
        constraints: The constraints.
        groups: Members of each named group: domains or other groups.
        task: The run. Its total steps are those for which caps and budgets are planned.
        objective: "kl", "euclidean" or "goal".
        strict: Whether to raise an error instead of loosening constraints in the middle of a run.
        reserve: Tokens of every domain with a cap that are kept for its minimum share. Whole
            sequences are drawn, now more and now less than the mixture says; where a cap leaves no
            more than the minimum, a few sequences in reserve make up for it.

    Raises:
        ValueError: A constraint or a group names what does not exist.
    """

    def __init__(
        self,
        constraints: Sequence[Constraint],
        groups: Mapping[str, Sequence[str]],
        task: Task,
        objective: Aim = "kl",
        strict: bool = False,
        reserve: float = 0.0,
    ) -> None:
        if objective not in get_args(Aim):
            raise ValueError(f"objective must be 'kl', 'euclidean' or 'goal', got {objective!r}")
        if not 0 <= reserve < np.inf:
            raise ValueError(f"reserve must be in [0, inf), got {reserve}")
        self._scope = Scope(task, groups)
        self._constraints = tuple(constraints)
        self._set = compile_constraints(constraints, self._scope, task, reserve)
        self._strict = strict
        self._membership = Membership(self._set)
        self._by_goal = objective == "goal"
        distance = "kl" if objective == "goal" else objective
        self._unit = UNIT[distance]
        self._projection = Projection(self._set, distance, self._membership)
        # Nothing that was drawn matters where nothing runs out.
        runs_out = len(self._set.capped) > 0 or len(self._set.budget) > 0
        self._always = None if runs_out else self._set.limits(np.zeros(task.num_domains), 0)

    @cached_property
    def _slack_program(self) -> SlackProgram:
        return SlackProgram(self._set)

    def check(self) -> None:
        """Find out before the run whether all constraints can be kept.

        Raises:
            ValueError: They cannot; the message names the smallest set that conflicts.
        """
        conflict = smallest_conflict(self._set)
        if conflict:
            texts = ", ".join(self._set.texts[place] for place in conflict)
            what = "cannot be kept" if len(conflict) == 1 else "cannot all be kept"
            raise ValueError(
                f"constraints must leave at least one mixture, but these {what} "
                f"(loosen or drop any one of them): {texts}"
            )

    def warnings(self, tokens_drawn: Array) -> dict[str, str]:
        """What to say of domains whose epochs have reached a constraint's level, by domain."""
        epochs = tokens_drawn / self._scope.unique_tokens
        return {
            self._scope.names[domain]: f"{self._scope.names[domain]!r} is at "
            f"{epochs[domain]:.3g} epochs, of at most {constraint.maximum:g}"
            for constraint in self._constraints
            if isinstance(constraint, Epochs) and constraint.warn_at is not None
            for domain in constraint.domains(self._scope)
            if epochs[domain] >= constraint.warn_at
        }

    def allocate(
        self,
        proposal: Array,
        tokens_drawn: Array,
        step: int,
        previous: Array | None = None,
        goal: Goal | None = None,
    ) -> Allocation:
        """The nearest feasible mixture to a proposal, or the best.

        Args:
            proposal: What the policy wants: not negative, summing to one, shape (k,).
            tokens_drawn: Of each domain before this step, shape (k,).
            step: From 0.
            previous: The mixture of the step before, shape (k,); None before the first step, whose
                mixture may be anything.
            goal: What the proposal is the optimum of, if anything.

        Raises:
            ValueError: The proposal is not a mixture.
            RuntimeError: Constraints cannot be kept any more, and the allocator is strict.
        """
        limits = self._always or self._set.limits(tokens_drawn, step)
        least = proposal.item(proposal.argmin())
        if not least >= 0 or not abs(float(proposal.dot(ones(len(proposal)))) - 1) <= FEASIBLE:
            raise ValueError("a proposal must be a mixture: not negative and summing to one")
        if self._membership.keeps(proposal, limits, previous):
            return Allocation(proposal)
        found = None
        if self._by_goal and goal is not None:
            found = self._best(goal, proposal, limits, previous)
        found = found or self._nearest(proposal, limits, previous)
        if found is not None:
            return found
        slack = self._slack_program.solve(limits, previous)
        if slack is None:
            return self._fallback(proposal, limits, previous)
        relaxed = self._relaxed(slack)
        if relaxed and self._strict:
            raise RuntimeError(
                f"at step {step} constraints can no longer be kept (strict): {', '.join(relaxed)}"
            )
        # Without anything to relax it was rounding that left no mixture, and this much is enough.
        found = self._nearest(proposal, loosened(limits, self._set, slack), previous)
        if found is None:
            return self._fallback(proposal, limits, previous)
        return found._replace(relaxed=relaxed)

    def _nearest(
        self, proposal: Array, limits: Limits, previous: Array | None
    ) -> Allocation | None:
        """The nearest mixture within limits; None if there is none or the solvers fail."""
        found = self._projection.nearest(proposal, limits, previous)
        return None if found is None else self._allocation(found, limits, self._unit)

    def _best(
        self, goal: Goal, proposal: Array, limits: Limits, previous: Array | None
    ) -> Allocation | None:
        """The best mixture within limits; None if there is none or the solvers fail."""
        answer = best_feasible(goal, proposal, self._set, limits, previous)
        if answer is None:
            return None
        found = self._projection.accept(answer, limits, limits.ceiling, previous)
        return None if found is None else self._allocation(found, limits, goal.unit)

    def _allocation(self, found: Nearest, limits: Limits, unit: str) -> Allocation:
        weights = found.weights / float(found.weights.dot(ones(len(found.weights))))
        costs = binding(self._set, limits, found.ceiling, found.duals)
        return Allocation(weights, costs, how=found.how, unit=unit)

    def _relaxed(self, slack: Mapping[str, Array]) -> tuple[str, ...]:
        """The constraints behind the inequalities that have slack."""
        by = self._set.owners
        places = {int(one) for name in slack for one in by[name][slack[name] > RELAXED]}
        return tuple(self._set.texts[place] for place in sorted(places))

    def _fallback(self, proposal: Array, limits: Limits, previous: Array | None) -> Allocation:
        """What is left when no program was solved."""
        keeps = self._membership.keeps
        if previous is not None and keeps(previous, limits, previous, FEASIBLE):
            return Allocation(previous, how="last weights", failures=1)
        ceiling = limits.ceiling
        if fit(limits.lower, ceiling):
            level = np.maximum(proposal, FAINTEST)
            weights = nearest_within(level, limits.lower, ceiling, 1.0, "kl")
            weights = weights / float(weights.sum())
            return Allocation(weights, how="bounds only", failures=1)
        last = proposal if previous is None else previous
        return Allocation(last, how="last weights", failures=1)
