"""The best feasible mixture by the policy's own goal, instead of the nearest to its proposal."""

from __future__ import annotations

from functools import lru_cache

from policies.allocation.feasible_set import FeasibleSet, Limits
from policies.allocation.goal_programs_regret import RegretProgram, Shape, shape_of
from policies.allocation.goal_programs_smooth import SmoothProgram
from policies.allocation.program import Answer
from policies.goals import Goal, WorstRegret, check_shape
from policies.signals import Array


def best_feasible(
    goal: Goal, proposal: Array, feasible: FeasibleSet, limits: Limits, previous: Array | None
) -> Answer | None:
    """The feasible mixture with the least value.

    Args:
        goal: What the policy minimises.
        proposal: The mixture it proposes, from whose nearest feasible one the search starts, (k,).
        feasible: The constraints. Programs are compiled once for each.
        limits: Those of the step.
        previous: The mixture of the step before, shape (k,); None before the first step.

    Returns:
        The mixture, and the duals in the goal's unit per share: how much the value falls for a
        share by which an inequality is loosened. None if no mixture is feasible or solvers fail.

    Raises:
        ValueError: Goal and proposal have different numbers of domains.
    """
    if isinstance(goal, WorstRegret):
        check_shape(proposal, goal.game.prior)
        program = _regret_program(feasible, shape_of(goal.game))
        return program.solve(goal.game, limits, previous)
    check_shape(proposal, goal.slope(proposal))
    return _smooth_program(feasible).solve(goal, proposal, limits, previous)


@lru_cache(maxsize=8)
def _smooth_program(feasible: FeasibleSet) -> SmoothProgram:
    return SmoothProgram(feasible)


@lru_cache(maxsize=8)
def _regret_program(feasible: FeasibleSet, shape: Shape) -> RegretProgram:
    return RegretProgram(feasible, shape)
