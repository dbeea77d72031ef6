"""The best feasible mixture: optimal, never worse than the nearest, and what limits cost told."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from random_sets import random_set
from scipy.optimize import minimize

from policies import programs
from policies.allocation import Change, Constraint, Cost, Epochs, Floor, Ratio, Share
from policies.allocation.compilation import compile_constraints
from policies.allocation.feasible_set import NOBODY, FeasibleSet, Limits
from policies.allocation.goal_programs import best_feasible
from policies.allocation.membership import Membership
from policies.allocation.program import Answer, NearestProgram
from policies.allocation.scope import Scope
from policies.goals import Goal, LeastVariance, PlannedLoss, StepBound, WorstRegret
from policies.learning_curves import Curves
from policies.minimax.game import Game
from policies.minimax.program import solve
from policies.neyman import neyman
from policies.published.equitable import Equitable, best_plan
from policies.published.pike import minimise_bound
from policies.signals import Array
from policies.synthetic import make_task

KINDS = ("variance", "bound", "mean loss", "loss", "worst regret", "regret in a ball")


class Case(NamedTuple):
    """A goal and its optimum over all mixtures."""

    goal: Goal
    optimum: Array


def make_case(kind: str, size: int, seed: int) -> Case:
    generator = np.random.default_rng([seed, size])
    target = generator.dirichlet(np.full(size, 2.0))
    if kind == "variance":
        deviation = generator.lognormal(0, 1, size)
        return Case(LeastVariance(target, deviation), neyman(deviation, weight=target))
    if kind == "bound":
        linear, quadratic = generator.normal(size=size), generator.uniform(0.5, 5, size)
        return Case(StepBound(linear, quadratic), minimise_bound(linear, quadratic))
    if "regret" in kind:
        ambiguity = np.inf if kind == "worst regret" else 0.1
        prior = generator.dirichlet(np.full(size, 3.0))
        bounds = np.zeros(size), np.ones(size)
        effect = generator.normal(size=(size, size))
        game = Game(effect, prior, *bounds, target, ambiguity, inertia=0.5)
        return Case(WorstRegret(game), solve(game).mixture)
    aversion = 0.0 if kind == "mean loss" else 1.0
    curves = Curves(
        floor=generator.uniform(0, 2, size),
        scale=generator.uniform(20, 40, size),
        exponent=generator.uniform(0.2, 0.5, size),
        fitted=np.ones(size, dtype=bool),
    )
    read = generator.lognormal(11, 0.5, size)
    state = Equitable().init(make_task(size))._replace(target=target, cost=np.ones(size))
    plan = best_plan(curves, read, state, 1e7, aversion)
    goal = PlannedLoss(target, *curves[:3], read, 1e7, aversion, "bits per byte")
    return Case(goal, plan / plan.sum())


class Step(NamedTuple):
    """A feasible set and the limits of its first step."""

    feasible: FeasibleSet
    limits: Limits


def first_step(constraints: list[Constraint], size: int = 4, steps: int = 100) -> Step:
    task = make_task(size, total_steps=steps)
    feasible = compile_constraints(constraints, Scope(task, {}), task)
    return Step(feasible, feasible.limits(np.zeros(size), 0))


def random_step(seed: int, size: int) -> tuple[Step, Array]:
    made = random_set(seed, size)
    feasible = compile_constraints(made.constraints, Scope(made.task, made.groups), made.task)
    return Step(feasible, feasible.limits(np.zeros(size), 0)), made.inside


@pytest.mark.parametrize("size", [1, 20])
@pytest.mark.parametrize("kind", KINDS)
def test_without_constraints_it_is_the_policy_s_own(kind: str, size: int) -> None:
    case = make_case(kind, size, 0)
    # A search that starts at its end shows nothing.
    start = np.full(size, 1 / size)
    found = best_feasible(case.goal, start, *first_step([], size), None)
    assert found is not None
    value, least = case.goal.value(found.weights), case.goal.value(case.optimum)
    assert value == pytest.approx(least, rel=1e-7)
    # A game is solved by a program as well, no more exactly.
    exact = 2e-5 if isinstance(case.goal, WorstRegret) else 1e-6
    np.testing.assert_allclose(found.weights, case.optimum, atol=exact)


@given(st.integers(0, 10_000), st.sampled_from(KINDS))
@settings(max_examples=12, deadline=None)
def test_no_other_feasible_mixture_is_better(seed: int, kind: str) -> None:
    """Against SciPy, over p, the mixture m of later steps and the absolute changes s."""
    size = 2 + seed % 4
    (feasible, limits), inside = random_step(seed, size)
    goal, optimum = make_case(kind, size, seed)
    found = best_feasible(goal, optimum, feasible, limits, inside)
    assert found is not None
    assert found.weights.sum() == pytest.approx(1, abs=1e-8)
    within = np.clip(found.weights, limits.lower, limits.ceiling)
    np.testing.assert_allclose(within, found.weights, atol=1e-7)
    assert Membership(feasible).keeps(within, limits, inside, 1e-6)

    def value(point: Array) -> float:
        weights = np.maximum(point[:size], 1e-9)
        return goal.value(weights / weights.sum())

    lines, bounds = _lines(feasible, limits, inside)
    solved = minimize(
        value,
        np.concatenate([inside, inside, np.zeros(size)]),
        bounds=[*zip(limits.lower, limits.upper, strict=True)] * 2 + [(0, 1)] * size,
        constraints=[
            {"type": "ineq", "fun": lambda point: bounds - lines @ point},
            {"type": "eq", "fun": lambda p: [p[:size].sum() - 1, p[size : 2 * size].sum() - 1]},
        ],
        options={"ftol": 1e-12, "maxiter": 300},
    )
    assert goal.value(found.weights) <= solved.fun + 1e-6 * max(1.0, abs(solved.fun))


def _lines(feasible: FeasibleSet, limits: Limits, previous: Array) -> tuple[Array, Array]:
    """All inequalities but the bounds of domains as lines over (p, m, s)."""
    size, capped = len(previous), feasible.capped
    none, eye = np.zeros((size, size)), np.eye(size)
    rows, empty = feasible.matrix, np.zeros_like(feasible.matrix)
    run = np.concatenate([eye[capped], feasible.totals])
    blocks = [
        ([rows, empty, empty], limits.bound),
        ([empty, rows, empty], limits.bound),
        (
            [limits.weight * run, (1 - limits.weight) * run, np.zeros_like(run)],
            np.concatenate([limits.room[capped], limits.budget]),
        ),
    ]
    if np.isfinite(limits.change):
        once = np.zeros((1, size))
        blocks.append(([eye, none, -eye], previous))
        blocks.append(([-eye, none, -eye], -previous))
        blocks.append(([once, once, once + 1], np.array([2 * limits.change])))
    lines = np.concatenate([np.concatenate(parts, axis=1) for parts, _ in blocks])
    return lines, np.concatenate([bound for _, bound in blocks])


@pytest.mark.parametrize("kind", KINDS)
def test_better_than_the_nearest_mixture(kind: str) -> None:
    """Never worse; better where groups overlap."""
    feasible, limits = first_step(
        [
            Share(of=["d0000", "d0001"], maximum=0.3),
            Share(of=["d0001", "d0002"], maximum=0.3),
        ]
    )
    nearer, better = NearestProgram(feasible, "kl"), 0
    for seed in range(6):
        goal, optimum = make_case(kind, 4, seed)
        found = best_feasible(goal, optimum, feasible, limits, None)
        nearest = nearer.solve(optimum, limits, None)
        assert found is not None
        assert nearest is not None
        value, other = (goal.value(programs.on_simplex(one.weights)) for one in (found, nearest))
        assert value <= other + 1e-7 * max(1.0, abs(other))
        better += value < other - 1e-5 * abs(other)
    assert better >= 2


@pytest.mark.parametrize("kind", ["variance", "loss", "regret in a ball"])
@pytest.mark.parametrize(
    "make",
    [
        lambda by: Share(of="d0000", maximum=0.05 + by),
        lambda by: Share(of=["d0002", "d0003"], maximum=0.2 + by),
        lambda by: Floor(minimum=0.2 - by),
        lambda by: Change(maximum=0.02 + by),
        lambda by: Change(maximum=0.02 + by, measure="kl"),
    ],
)
def test_dual_is_the_fall_of_the_value(make: Callable[[float], Constraint], kind: str) -> None:
    goal, optimum = make_case(kind, 4, 3)
    previous = np.full(4, 0.25)

    def best(by: float) -> tuple[float, float]:
        step = first_step([make(by)])
        found = best_feasible(goal, optimum, *step, previous)
        assert found is not None
        return goal.value(found.weights), total_dual(found, step.feasible)

    by = 1e-4
    fall = (best(-by)[0] - best(by)[0]) / (2 * by)
    assert best(0.0)[1] == pytest.approx(fall, rel=1e-2, abs=1e-4)


def total_dual(found: Answer, feasible: FeasibleSet) -> float:
    """Of all inequalities that a constraint stands behind."""
    return sum(
        float(dual[feasible.owners[name.removesuffix(" later")] != NOBODY].sum())
        for name, dual in found.duals.items()
    )


def test_dual_of_what_the_whole_run_may_hold() -> None:
    """The last step alone is left, so that a budget is a bound of this step."""
    goal, optimum = make_case("loss", 4, 3)
    tokens = first_step([], steps=1).feasible.task.total_tokens

    def best(by: float) -> tuple[float, Any]:
        cost = Cost(per_token={"d0000": 1.0, "d0001": 1.0}, budget=(0.2 + by) * tokens)
        found = best_feasible(goal, optimum, *first_step([cost], steps=1), None)
        assert found is not None
        assert found.weights[:2].sum() == pytest.approx(0.2 + by, abs=1e-6)
        return goal.value(found.weights), found

    fall = (best(-1e-4)[0] - best(1e-4)[0]) / 2e-4
    assert best(0.0)[1].duals["budget"] == pytest.approx(fall, rel=1e-2)


@pytest.mark.parametrize("kind", ["variance", "loss"])
def test_a_domain_that_may_have_nothing_counts_for_nothing(kind: str) -> None:
    goal, optimum = make_case(kind, 4, 0)
    assert not isinstance(goal, WorstRegret)
    found = best_feasible(goal, optimum, *first_step([Epochs(of="d0001", maximum=0)]), None)
    assert found is not None
    assert found.weights[1] == pytest.approx(0, abs=1e-9)
    slope = goal.slope(np.maximum(found.weights, 1e-12))[[0, 2, 3]]
    np.testing.assert_allclose(slope, slope.mean(), rtol=1e-5)


@pytest.mark.parametrize("kind", ["loss", "regret in a ball"])
def test_failure_is_none(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    goal, optimum = make_case(kind, 4, 0)
    feasible, limits = first_step(
        [Share(of="d0000", maximum=0.3), Ratio(of="d0001", to="d0002", maximum=1.0)]
    )
    impossible = replace(limits, lower=np.full(4, 0.3))
    assert best_feasible(goal, optimum, feasible, impossible, None) is None
    assert best_feasible(goal, optimum, feasible, limits, None) is not None
    for fails_at in (1, 2):  # What starts the search or solves a game, and what follows it.
        calls = iter(range(1, 100))
        with monkeypatch.context() as patch:
            patch.setattr(programs, "solve", failing(programs.solve, calls, fails_at))
            found = best_feasible(goal, optimum, feasible, limits, None)
        # What follows it only sharpens a game's answer.
        assert (found is None) == (fails_at == 1 or not isinstance(goal, WorstRegret))


def failing(original: Callable[[Any], bool], calls: Any, fails_at: int) -> Callable[[Any], bool]:
    return lambda problem: next(calls) != fails_at and original(problem)


def test_nothing_to_make_better_is_none() -> None:
    flat = LeastVariance(np.full(4, 0.25), np.zeros(4))
    assert best_feasible(flat, np.full(4, 0.25), *first_step([Floor(minimum=0.1)]), None) is None


@pytest.mark.parametrize("kind", ["loss", "regret in a ball"])
def test_programs_are_compiled_once(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    feasible, limits = first_step([Share(of="d0000", maximum=0.1)])
    case = make_case(kind, 4, 0)
    first = best_feasible(*case, feasible, limits, None)
    monkeypatch.setattr(cp, "Problem", None)
    again = best_feasible(*case, feasible, limits, None)
    best_feasible(*make_case(kind, 4, 1), feasible, limits, None)
    assert first is not None
    assert again is not None
    np.testing.assert_array_equal(again.weights, first.weights)


@pytest.mark.parametrize("kind", KINDS)
def test_goal_of_other_domains_is_refused(kind: str) -> None:
    with pytest.raises(ValueError, match="shape"):
        best_feasible(make_case(kind, 3, 0).goal, np.full(4, 0.25), *first_step([]), None)


def test_many_domains() -> None:
    size = 300
    goal, optimum = make_case("loss", size, 0)
    task = make_task(size, total_steps=100)
    groups = {"a": list(task.names[:200]), "b": list(task.names[100:])}
    constraints: list[Constraint] = [Share(of="a", maximum=0.4), Share(of="b", maximum=0.75)]
    feasible = compile_constraints(constraints, Scope(task, groups), task)
    limits = feasible.limits(np.zeros(size), 0)
    found = best_feasible(goal, optimum, feasible, limits, None)
    assert found is not None
    assert found.weights[:200].sum() == pytest.approx(0.4, abs=1e-6)
    assert found.weights.sum() == pytest.approx(1, abs=1e-9)
    # To move a share between domains of the same groups makes nothing better.
    assert not isinstance(goal, WorstRegret)
    slope, some = goal.slope(found.weights), found.weights > 1e-5
    for alike in (slice(100), slice(100, 200), slice(200, 300)):
        slopes = slope[alike][some[alike]]
        assert len(slopes) > 10
        np.testing.assert_allclose(slopes, slopes.mean(), rtol=1e-8)
