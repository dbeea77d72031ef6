"""From what a policy proposes to the nearest mixture that is allowed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import NamedTuple, get_args

import numpy as np

from policies.allocation.closed_form import (
    NEAREST,
    Objective,
    find_partition,
    nearest_in_groups,
    nearest_kl,
    one_group,
)
from policies.allocation.compilation import compile_constraints
from policies.allocation.conflicts import smallest_conflict
from policies.allocation.constraint import Constraint
from policies.allocation.constraints import Epochs
from policies.allocation.duals import binding, closed_form_duals
from policies.allocation.feasible_set import Limits
from policies.allocation.membership import EXACT, Membership
from policies.allocation.program import (
    FAINTEST,
    NearestProgram,
    SlackProgram,
    loosened,
)
from policies.allocation.scope import Scope
from policies.policy import Task
from policies.signals import Array

# What weights that are handed on may break a constraint by.
FEASIBLE = 1e-6
# Slack that is more than what a solver leaves of none.
RELAXED = 1e-6


class Allocation(NamedTuple):
    """The mixture of one step and how it came about.

    Attributes:
        weights: Shape (k,), summing to one.
        binding: Constraints that keep the mixture from the proposal, as the user wrote them, with
            their duals: how much the distance would fall per share by which the constraint is
            loosened in this step. Largest first.
        relaxed: Constraints that could not be kept any more and were loosened.
        how: "unchanged", "closed form", a solver's name, or, where solvers failed, "last weights"
            or "bounds only".
        failures: 1 where every solver failed.
    """

    weights: Array
    binding: tuple[tuple[str, float], ...] = ()
    relaxed: tuple[str, ...] = ()
    how: str = "unchanged"
    failures: int = 0


class Allocator:
    r"""Makes mixtures feasible, for every policy alike.

    The nearest feasible mixture to the proposal q minimises ``sum_i p_i log(p_i / q_i)`` ("kl") or
    ``sum_i (p_i - q_i)^2`` ("euclidean"). A proposal that is feasible comes back as it is. Bounds
    of domains and of disjoint groups have a closed form; what has none is a convex program.

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
        objective: Which distance.
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
        objective: Objective = "kl",
        strict: bool = False,
        reserve: float = 0.0,
    ) -> None:
        if objective not in get_args(Objective):
            raise ValueError(f"objective must be 'kl' or 'euclidean', got {objective!r}")
        if not 0 <= reserve < np.inf:
            raise ValueError(f"reserve must be in [0, inf), got {reserve}")
        self._scope = Scope(task, groups)
        self._constraints = tuple(constraints)
        self._set = compile_constraints(constraints, self._scope, task, reserve)
        self._objective: Objective = objective
        self._strict = strict
        self._membership = Membership(self._set)
        self._partition = find_partition(self._set.matrix) or one_group(task.num_domains)
        # Whether what is left to a step depends on what was drawn.
        self._runs_out = len(self._set.capped) + len(self._set.budget) > 0
        self._always = None if self._runs_out else self._set.limits(np.zeros(task.num_domains), 0)

    @cached_property
    def _nearest_program(self) -> NearestProgram:
        return NearestProgram(self._set, self._objective)

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

    def warnings(self, tokens_drawn: Array) -> tuple[str, ...]:
        """What to say of domains whose epochs have reached a constraint's warning level."""
        epochs = tokens_drawn / self._scope.unique_tokens
        return tuple(
            f"{self._scope.names[domain]!r} is at {epochs[domain]:.3g} epochs, "
            f"of at most {constraint.maximum:g}"
            for constraint in self._constraints
            if isinstance(constraint, Epochs) and constraint.warn_at is not None
            for domain in constraint.domains(self._scope)
            if epochs[domain] >= constraint.warn_at
        )

    def allocate(
        self, proposal: Array, tokens_drawn: Array, step: int, previous: Array | None = None
    ) -> Allocation:
        """The nearest feasible mixture to a proposal.

        Args:
            proposal: What the policy wants: not negative, summing to one, shape (k,).
            tokens_drawn: Of each domain before this step, shape (k,).
            step: From 0.
            previous: The mixture of the step before, shape (k,); None before the first step, whose
                mixture may be anything.

        Raises:
            ValueError: The proposal is not a mixture.
            RuntimeError: Constraints cannot be kept any more, and the allocator is strict.
        """
        limits = self._always or self._set.limits(tokens_drawn, step)
        if not abs(float(proposal.sum()) - 1) <= FEASIBLE or not proposal.min() >= 0:
            raise ValueError("a proposal must be a mixture: not negative and summing to one")
        if self._membership.keeps(proposal, limits, previous):
            return Allocation(proposal)
        found = self._nearest(proposal, limits, previous)
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
        ceiling = limits.ceiling if self._runs_out else limits.upper
        if not _fit(limits.lower, ceiling):
            return None
        found = self._closed_form(proposal, limits, ceiling, previous)
        if found is not None:
            return found
        answer = self._nearest_program.solve(proposal, limits, previous)
        if answer is None:
            return None
        try:
            weights = nearest_kl(np.maximum(answer.weights, 0.0), limits.lower, ceiling, 1.0)
        except ValueError:
            return None
        if not self._membership.keeps(weights, limits, previous, FEASIBLE):
            return None
        costs = binding(self._set, limits, ceiling, answer.duals)
        return Allocation(weights, costs, how=answer.solver)

    def _closed_form(
        self, proposal: Array, limits: Limits, ceiling: Array, previous: Array | None
    ) -> Allocation | None:
        """The nearest mixture within bounds, if it keeps whatever else there is, too."""
        nearest, groups = NEAREST[self._objective], self._partition
        level = np.maximum(proposal, FAINTEST) if self._objective == "kl" else proposal
        try:
            if len(groups.least) == 1:
                weights: Array | None = nearest(level, limits.lower, ceiling, 1.0)
            else:
                weights = nearest_in_groups(
                    level, limits.lower, ceiling, groups, limits.bound, nearest
                )
        except ValueError:
            return None
        if weights is None or not self._membership.keeps(weights, limits, previous):
            return None
        weights = weights / float(weights.sum())
        duals = closed_form_duals(weights, level, limits, ceiling, groups, self._objective)
        return Allocation(weights, binding(self._set, limits, ceiling, duals), how="closed form")

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
        if _fit(limits.lower, ceiling):
            level = np.maximum(proposal, FAINTEST)
            weights = nearest_kl(level, limits.lower, ceiling, 1.0)
            return Allocation(weights, how="bounds only", failures=1)
        last = proposal if previous is None else previous
        return Allocation(last, how="last weights", failures=1)


def _fit(lower: Array, upper: Array) -> bool:
    """Whether a mixture fits between these bounds."""
    if (lower > upper + EXACT).any():
        return False
    return bool(lower.sum() <= 1 + EXACT and upper.sum() >= 1 - EXACT)
