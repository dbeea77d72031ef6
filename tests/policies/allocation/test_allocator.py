"""One step's allocation: feasible, nearest, told truly, and never in the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from unittest import mock

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from random_sets import RandomSet, random_set
from reference import check_same, precisely
from scipy.optimize import minimize

from policies import programs
from policies.allocation import (
    Aim,
    Allocation,
    Allocator,
    Change,
    Constraint,
    Cost,
    Epochs,
    Floor,
    Ratio,
    Share,
    multipliers,
)
from policies.allocation.compilation import compile_constraints
from policies.allocation.constraints import Measure
from policies.allocation.filling import Objective
from policies.allocation.later import Later
from policies.allocation.projection import Projection
from policies.allocation.scope import Scope
from policies.goals import LeastVariance
from policies.neyman import neyman
from policies.policy import Task
from policies.signals import Array
from policies.synthetic import make_task

OBJECTIVES: tuple[Objective, ...] = ("kl", "euclidean")


def even_task(size: int, **changes: Any) -> Task:
    task = make_task(size)
    unique = np.full(size, task.total_tokens / size)
    return replace(task, unique_tokens=unique, prior=np.full(size, 1 / size), **changes)


def worst_excess(made: RandomSet, weights: Array, previous: Array) -> float:
    """By how much the first step's mixture breaks anything, found anew and row by row."""
    excess = max(abs(weights.sum() - 1), -weights.min())
    scope = Scope(made.task, made.groups)
    for constraint in made.constraints:
        for row in constraint.each_step(scope):
            excess = max(excess, row.coefficients @ weights[row.domains] - row.bound)
        if isinstance(constraint, Change):
            excess = max(excess, np.abs(weights - previous).sum() / 2 - constraint.maximum)
        for row in constraint.whole_run(scope):  # In this step alone.
            used = made.task.tokens_per_step * (row.coefficients @ weights[row.domains])
            excess = max(excess, (used - row.bound) / made.task.tokens_per_step)
    return float(excess)


@given(st.integers(0, 10_000), st.integers(1, 40), st.sampled_from(OBJECTIVES))
@example(1, 300, "kl")
@example(2, 300, "euclidean")
@settings(max_examples=30, deadline=None)
def test_the_result_is_feasible_and_stays(seed: int, size: int, objective: Objective) -> None:
    made = random_set(seed, size)
    generator = np.random.default_rng(seed)
    proposal = generator.dirichlet(np.full(size, generator.uniform(0.3, 3)))
    allocator = Allocator(made.constraints, made.groups, made.task, objective)
    allocator.check()
    found = allocator.allocate(proposal, np.zeros(size), 0, made.inside)
    assert not found.relaxed
    assert not found.failures
    assert abs(found.weights.sum() - 1) < 1e-12
    assert worst_excess(made, found.weights, made.inside) < 1e-10
    again = allocator.allocate(found.weights, np.zeros(size), 0, made.inside)
    np.testing.assert_allclose(again.weights, found.weights, atol=1e-10)
    if again.how == "unchanged":
        assert again.weights is found.weights


@given(st.integers(0, 10_000), st.sampled_from(OBJECTIVES))
@settings(max_examples=20, deadline=None)
def test_no_other_feasible_mixture_is_nearer(seed: int, objective: Objective) -> None:
    """Against SciPy, which knows neither cvxpy nor our arrays, over p and the later mixture m."""
    size = 2 + seed % 4
    made = random_set(seed, size)
    proposal = np.random.default_rng(seed).dirichlet(np.ones(size))
    found = Allocator(made.constraints, made.groups, made.task, objective).allocate(
        proposal, np.zeros(size), 0, made.inside
    )

    def distance(point: Array) -> float:
        weights = np.maximum(point[:size], 1e-14)
        if objective == "euclidean":
            return float(np.sum((weights - proposal) ** 2))
        return float(weights @ np.log(weights / proposal))

    lines, bounds = _lines(made)
    solved = minimize(
        distance,
        np.concatenate([made.inside, made.inside, np.zeros(size)]),
        bounds=[(0, 1)] * (3 * size),
        constraints=[
            {"type": "ineq", "fun": lambda point: bounds - lines @ point},
            {"type": "eq", "fun": lambda p: [p[:size].sum() - 1, p[size : 2 * size].sum() - 1]},
        ],
        options={"ftol": 1e-13, "maxiter": 500},
    )
    assert distance(found.weights) <= solved.fun + 1e-8


def _lines(made: RandomSet) -> tuple[Array, Array]:
    """All constraints of the first step as lines over p, m and the absolute changes s."""
    size = len(made.inside)
    scope, steps = Scope(made.task, made.groups), made.task.total_steps
    change = min((one.maximum for one in made.constraints if isinstance(one, Change)), default=1.0)
    held = sum((1 - change) ** later for later in range(steps)) if change < 1 else 1.0
    lines, bounds = [np.zeros(3 * size)], [0.0]
    for constraint in made.constraints:
        for row in constraint.each_step(scope):
            for start in (0, size):
                lines.append(np.zeros(3 * size))
                lines[-1][start + row.domains] = row.coefficients
                bounds.append(row.bound)
        for row in constraint.whole_run(scope):
            lines.append(np.zeros(3 * size))
            lines[-1][row.domains] = row.coefficients * held / steps
            lines[-1][size + row.domains] = row.coefficients * (1 - held / steps)
            bounds.append(row.bound / made.task.total_tokens)
    if change < 1:
        for domain in range(size):
            for sign in (1, -1):
                lines.append(np.zeros(3 * size))
                lines[-1][[domain, 2 * size + domain]] = sign, -1
                bounds.append(sign * made.inside[domain])
        lines.append(np.repeat([0.0, 0.0, 1.0], size))
        bounds.append(2 * change)
    return np.array(lines), np.array(bounds)


def test_a_feasible_proposal_comes_back_as_it_is() -> None:
    task = even_task(5)
    allocator = Allocator([Floor(minimum=0.01), Epochs(maximum=3)], {}, task)
    proposal = np.array([0.4, 0.3, 0.2, 0.05, 0.05])
    found = allocator.allocate(proposal, np.zeros(5), 0)
    assert found.weights is proposal
    assert found[1:] == ((), (), "unchanged", 0, "")


def by_program(
    allocator: Allocator, proposal: Array, drawn: Array, step: int, previous: Array
) -> Allocation | None:
    """What the program alone finds, without loosening anything; None beyond its precision."""
    alone = mock.patch.multiple(
        Projection, _closed_form=lambda *_: None, _by_multipliers=lambda *_: None
    )
    with alone, precisely():
        return allocator._nearest(proposal, allocator._set.limits(drawn, step), previous)


@given(seed=st.integers(0, 10_000), size=st.integers(1, 60), objective=st.sampled_from(OBJECTIVES))
@example(seed=1, size=300, objective="kl")
@example(seed=6, size=300, objective="euclidean")
@settings(max_examples=30, deadline=None)
def test_agrees_with_the_program(seed: int, size: int, objective: Objective) -> None:
    """At any step of a run whose caps may be near."""
    made, generator = random_set(seed, size), np.random.default_rng(seed)
    proposal = generator.dirichlet(np.full(size, generator.uniform(0.3, 3)))
    step = int(generator.integers(made.task.total_steps))
    drawn = made.inside * step * made.task.tokens_per_step
    allocator = Allocator(made.constraints, made.groups, made.task, objective)
    found = allocator.allocate(proposal, drawn, step, made.inside)
    assert found.how in ("unchanged", "closed form", "multipliers")
    assert not found.relaxed
    solved = by_program(allocator, proposal, drawn, step, made.inside)
    assume(solved is not None)
    assert solved is not None
    check_same(found.weights, solved.weights, proposal, objective)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("measure", [None, "total_variation", "kl"])
def test_duals_are_the_programs(objective: Objective, measure: Measure | None) -> None:
    """In closed form within bounds, groups and a change; by multipliers all together."""
    task = even_task(8)
    groups = {"a": list(task.names[:3]), "b": list(task.names[3:5])}
    bounds = [
        Floor(minimum=0.02),
        Share(of=task.names[0], maximum=0.1),
        Share(of=task.names[6], maximum=0.1),
    ]
    shares = [Share(of="a", maximum=0.2), Share(of="b", minimum=0.4)]
    change = [Change(maximum=0.175, measure=measure)] if measure else []
    proposal = np.array([0.3, 0.1, 0.1, 0.05, 0.005, 0.2, 0.2, 0.045])
    previous = np.array([0.05, 0.05, 0.05, 0.15, 0.1, 0.22, 0.08, 0.3])
    for constraints in (bounds + change, bounds + shares + change):
        allocator = Allocator(constraints, groups, task, objective)
        exact = allocator.allocate(proposal, np.zeros(8), 0, previous)
        if (objective, measure) == ("euclidean", "kl"):
            assert exact.how == "CLARABEL"
            continue
        assert exact.how == ("multipliers" if measure and len(constraints) > 4 else "closed form")
        solved = by_program(allocator, proposal, np.zeros(8), 0, previous)
        assert solved is not None
        assert solved.how == "CLARABEL"
        check_same(exact.weights, solved.weights, proposal, objective)
        duals = dict(solved.binding)
        assert set(duals) == {text for text, _ in exact.binding}
        for text, dual in exact.binding:
            assert dual == pytest.approx(duals[text], rel=1e-4, abs=1e-5)


def test_what_later_steps_need_is_left_by_multipliers_too() -> None:
    """Caps, a budget and overlapping groups at once, in runs that use all of them up."""
    compared = 0
    for seed in range(12):
        made, generator = random_set(seed, 9), np.random.default_rng(seed)
        task = replace(made.task, total_steps=6)
        task = replace(task, unique_tokens=1.1 * made.inside * task.total_tokens)
        constraints = [one for one in made.constraints if not isinstance(one, Epochs | Cost)]
        constraints.append(Epochs(maximum=1))
        allocator = Allocator(constraints, made.groups, task)
        drawn, previous = np.zeros(9), made.inside
        for step in range(6):
            proposal = generator.dirichlet(np.ones(9))
            with mock.patch.object(Later, "cut", autospec=True, side_effect=Later.cut) as asked:
                found = allocator.allocate(proposal, drawn, step, previous)
            assert not found.relaxed
            solved = by_program(allocator, proposal, drawn, step, previous)
            if solved is not None:
                check_same(found.weights, solved.weights, proposal, "kl")
                compared += asked.call_count > 0
            drawn, previous = drawn + found.weights * task.tokens_per_step, found.weights
    assert compared > 3


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(
    "make",
    [
        lambda by: Share(of="d0000", maximum=0.2 + by),
        lambda by: Share(of=["d0000", "d0001"], maximum=0.3 + by),
        lambda by: Share(of=["d0002", "d0003"], minimum=0.6 - by),
        lambda by: Floor(minimum=0.08 - by),
        lambda by: Ratio(of="d0000", to="d0001", maximum=1.0 + by),
        lambda by: Change(maximum=0.1 + by),
    ],
)
def test_dual_is_the_fall_of_the_distance(
    make: Callable[[float], Constraint], objective: Objective
) -> None:
    proposal = np.array([0.5, 0.3, 0.15, 0.05])
    previous = np.full(4, 0.25)

    def solve(by: float) -> tuple[float, Any]:
        found = Allocator([make(by)], {}, even_task(4), objective).allocate(
            proposal, np.zeros(4), 0, previous
        )
        weights = found.weights
        if objective == "euclidean":
            return float(np.sum((weights - proposal) ** 2)), found
        return float(weights @ np.log(weights / proposal)), found

    constraint, found = make(0.0), solve(0.0)[1]
    ((text, dual),) = found.binding
    assert text == constraint.describe()
    by = 1e-4
    fall = (solve(-by)[0] - solve(by)[0]) / (2 * by)
    if isinstance(constraint, Ratio):  # Loosened by shares, not by ratios.
        fall /= found.weights[1]
    assert dual == pytest.approx(fall, rel=2e-2)


@pytest.mark.parametrize("with_change", [False, True])
def test_order_of_the_domains_does_not_matter(with_change: bool) -> None:
    task = even_task(6)
    groups = {"a": list(task.names[:3]), "b": list(task.names[2:5])}
    constraints: list[Constraint] = [Share(of="a", maximum=0.3), Share(of="b", maximum=0.4)]
    if with_change:
        constraints.append(Change(maximum=0.2))
    generator = np.random.default_rng(0)
    proposal, order = generator.dirichlet(np.ones(6)), generator.permutation(6)
    previous = np.full(6, 1 / 6)
    found = Allocator(constraints, groups, task).allocate(proposal, np.zeros(6), 0, previous)
    turned = replace(task, names=tuple(task.names[place] for place in order))
    other = Allocator(constraints, groups, turned).allocate(
        proposal[order], np.zeros(6), 0, previous
    )
    np.testing.assert_allclose(other.weights, found.weights[order], atol=1e-10)


def test_a_domain_the_policy_leaves_out_is_brought_in_where_it_must_be() -> None:
    task = even_task(4)
    proposal = np.array([1.0, 0.0, 0.0, 0.0])
    groups = {"rest": list(task.names[1:])}
    found = Allocator([Share(of="rest", minimum=0.3)], groups, task).allocate(
        proposal, np.zeros(4), 0
    )
    np.testing.assert_allclose(found.weights, [0.7, 0.1, 0.1, 0.1], atol=1e-9)


@pytest.mark.parametrize("proposal", [[0.5, 0.6], [1.2, -0.2], [np.nan, 1.0]])
def test_a_proposal_must_be_a_mixture(proposal: list[float]) -> None:
    with pytest.raises(ValueError, match="a proposal must be a mixture"):
        Allocator([], {}, even_task(2)).allocate(np.array(proposal), np.zeros(2), 0)


def test_unknown_objective() -> None:
    with pytest.raises(ValueError, match="objective must be 'kl', 'euclidean' or 'goal', got 'l1'"):
        Allocator([], {}, even_task(2), "l1")  # type: ignore[arg-type]


def by_goal(objective: Aim) -> tuple[Allocator, LeastVariance, Array]:
    """A ratio between two of four domains, and what the policy wants without it."""
    target, deviation = np.full(4, 0.25), np.array([1.0, 2.0, 4.0, 8.0])
    goal = LeastVariance(target, deviation)
    allocator = Allocator([Ratio(of="d0003", to="d0002", maximum=0.7)], {}, even_task(4), objective)
    return allocator, goal, neyman(deviation, weight=target)


def test_the_best_mixture_by_the_policy_s_own_goal() -> None:
    allocator, goal, proposal = by_goal("goal")
    best = allocator.allocate(proposal, np.zeros(4), 0, None, goal)
    nearest = by_goal("kl")[0].allocate(proposal, np.zeros(4), 0, None, goal)
    assert goal.value(proposal) < goal.value(best.weights) < goal.value(nearest.weights) - 1e-3
    assert best.weights[3] <= 0.7 * best.weights[2] + 1e-6
    assert (best.unit, nearest.unit) == (goal.unit, "nats")
    assert best.binding[0][1] > 0


def test_without_a_goal_or_its_solution_the_nearest_mixture_is_taken() -> None:
    allocator, goal, proposal = by_goal("goal")
    nearest = allocator.allocate(proposal, np.zeros(4), 0)
    assert nearest.unit == "nats"
    with mock.patch("policies.allocation.allocator.best_feasible", return_value=None):
        found = allocator.allocate(proposal, np.zeros(4), 0, None, goal)
    np.testing.assert_array_equal(found.weights, nearest.weights)


def overlapping() -> Allocator:
    """Groups that overlap: a program is needed."""
    task = even_task(3)
    groups = {"a": list(task.names[:2]), "b": list(task.names[1:])}
    return Allocator([Share(of="a", maximum=0.5), Share(of="b", minimum=0.6)], groups, task)


@pytest.mark.parametrize("trouble", [np.linalg.LinAlgError("singular"), [np.full(3, np.nan)] * 9])
def test_multipliers_that_fail_are_followed_by_the_program(trouble: Any) -> None:
    proposal = np.array([0.6, 0.3, 0.1])
    expected = overlapping().allocate(proposal, np.zeros(3), 0)
    assert expected.how == "multipliers"
    with mock.patch.object(np.linalg, "solve", side_effect=trouble):
        found = overlapping().allocate(proposal, np.zeros(3), 0)
    assert (found.how, found.failures) == ("CLARABEL", 0)
    np.testing.assert_allclose(found.weights, expected.weights, atol=1e-5)


def test_solvers_that_fail_leave_the_last_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    proposal, previous = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5])
    allocator = overlapping()
    monkeypatch.setattr(multipliers, "solve", lambda problem: None)
    assert allocator.allocate(proposal, np.zeros(3), 0, previous).how == "CLARABEL"
    monkeypatch.setattr(programs, "solve", lambda problem: False)
    found = allocator.allocate(proposal, np.zeros(3), 0, previous)
    np.testing.assert_array_equal(found.weights, previous)
    assert (found.how, found.failures, found.relaxed) == ("last weights", 1, ())
    first = allocator.allocate(proposal, np.zeros(3), 0)
    assert (first.how, first.failures) == ("bounds only", 1)
    assert abs(first.weights.sum() - 1) < 1e-12


def test_a_solver_that_fails_is_followed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    original = cp.Problem.solve

    def fails(self: cp.Problem, solver: str, **settings: Any) -> Any:
        if solver == "CLARABEL":
            raise cp.SolverError("out of luck")
        return original(self, solver=solver, **settings)

    proposal = np.array([0.6, 0.3, 0.1])
    expected = overlapping().allocate(proposal, np.zeros(3), 0)
    monkeypatch.setattr(multipliers, "solve", lambda problem: None)
    monkeypatch.setattr(cp.Problem, "solve", fails)
    found = overlapping().allocate(proposal, np.zeros(3), 0)
    assert found.how == "SCS"
    np.testing.assert_allclose(found.weights, expected.weights, atol=1e-5)


@pytest.mark.parametrize("order", [1, -1])
def test_tightest_of_several_bounds_owns_the_domain(order: int) -> None:
    task = even_task(3)
    constraints = [
        Share(of="d0000", minimum=0.1, maximum=0.5),
        Share(of="d0000", minimum=0.2, maximum=0.4),
        Epochs(maximum=3, of="d0000"),
        Epochs(maximum=2),
    ][::order]
    compiled = compile_constraints(constraints, Scope(task, {}), task)
    assert (compiled.lower[0], compiled.upper[0]) == (0.2, 0.4)
    assert compiled.cap[0] == pytest.approx(2 * task.unique_tokens[0])
    tight = 1 if order == 1 else 2
    assert compiled.lower_owner[0] == compiled.upper_owner[0] == tight
    assert compiled.cap_owner[0] == (3 if order == 1 else 0)


def test_rounding_does_not_end_a_run_that_keeps_its_minimum_exactly() -> None:
    task = even_task(2)
    constraints = [Share(of="d0000", minimum=0.1), Epochs(maximum=0.2, of="d0000")]
    limits = compile_constraints(constraints, Scope(task, {}), task).limits(np.full(2, 1e-4), 0)
    assert limits.room[0] < 0.1
    assert limits.ceiling[0] == 0.1


def test_dual_of_a_budget_counts_shares_of_this_step() -> None:
    task = even_task(4, total_steps=10)
    proposal = np.array([0.5, 0.3, 0.15, 0.05])
    floor = Share(of=["d0000", "d0001"], minimum=0.1)

    def solve(by: float) -> tuple[float, Any]:
        budget = (10 * 0.1 + 0.2 + by) * task.tokens_per_step  # 0.3 for this step.
        cost = Cost(per_token={"d0000": 1.0, "d0001": 1.0}, budget=budget)
        found = Allocator([floor, cost], {}, task).allocate(proposal, np.zeros(4), 0)
        weights = found.weights
        return float(weights @ np.log(weights / proposal)), found

    found = solve(0.0)[1]
    assert found.weights[:2].sum() == pytest.approx(0.3, abs=1e-6)
    fall = (solve(-1e-3)[0] - solve(1e-3)[0]) / 2e-3
    dual = next(dual for text, dual in found.binding if text.startswith("Cost"))
    assert dual == pytest.approx(fall, rel=1e-2)


def test_many_domains() -> None:
    size = 2000
    task = even_task(size)
    groups = {"a": list(task.names[:500]), "b": list(task.names[500:900])}
    allocator = Allocator(
        [Floor(minimum=1e-5), Share(of="a", maximum=0.1), Share(of="b", minimum=0.4)], groups, task
    )
    allocator.check()
    proposal = np.random.default_rng(0).dirichlet(np.ones(size))
    found = allocator.allocate(proposal, np.zeros(size), 0)
    assert found.how == "closed form"
    assert found.weights.min() >= 1e-5 - 1e-12
    assert found.weights[:500].sum() == pytest.approx(0.1, abs=1e-9)
