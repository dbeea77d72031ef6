from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from small_scenarios import small

from policies.signals import Array
from policies.simulator.alone import best_alone
from policies.simulator.descent import linear_gap, minimise
from policies.simulator.law import loss
from policies.simulator.optimum import find_optimum, least_average
from policies.simulator.scenario import Scenario
from policies.simulator.scenarios import load_scenario


def by_program(scenario: Scenario, exposure_of_all: Array, alone: Array | None = None) -> float:
    """Least average loss, or least largest regret, by a cone program."""
    cp = pytest.importorskip("cvxpy")
    number = scenario.num_domains
    unique, decay = scenario.unique_tokens, scenario.decay
    mixtures = cp.Variable(exposure_of_all.shape, nonneg=True)
    first, repeats = cp.Variable(number, nonneg=True), cp.Variable(number, nonneg=True)
    kept = cp.Variable(number)
    reached = scenario.transfer.dense() @ cp.multiply(unique / scenario.start_tokens, first + kept)
    losses = cp.hstack(
        [
            scenario.floor[one]
            + scenario.gain[one]
            * cp.power(1 + reached[one], -float(scenario.alpha[one]), approx=False)
            for one in range(number)
        ]
    )
    epochs = cp.sum(cp.multiply(exposure_of_all / unique, mixtures), axis=0)
    constraints = [
        cp.sum(mixtures, axis=1) == 1,
        first <= 1,
        first + repeats == epochs,
        # The saturation of repeats is concave: its first, straight part is always used up first.
        kept <= cp.multiply(decay, 1 - cp.exp(-cp.multiply(1 / decay, repeats))),
    ]
    aim = scenario.target @ losses if alone is None else cp.max(losses - alone)
    return float(cp.Problem(cp.Minimize(aim), constraints).solve(solver="CLARABEL"))


@cache
def drifting_small() -> Scenario:
    return small(4, parts=2, schedule="cosine")


@pytest.mark.parametrize("planned", [False, True])
def test_optima_equal_those_of_a_cone_program(planned: bool) -> None:
    scenario = drifting_small()
    optimum = find_optimum(scenario)
    exposure = scenario.part_exposure
    average, worst = optimum.average_planned, optimum.worst_planned
    if not planned:
        exposure = exposure.sum(axis=0, keepdims=True)
        average, worst = optimum.average_fixed, optimum.worst_fixed
    assert abs(average.value - by_program(scenario, exposure)) < 1e-6
    assert abs(worst.value - by_program(scenario, exposure, optimum.alone)) < 3e-5
    assert 0 <= average.gap < 1e-6
    assert -1e-9 <= worst.gap < 1e-4


def test_a_plan_beats_a_mixture_only_where_usefulness_changes() -> None:
    drifting, steady = find_optimum(drifting_small()), find_optimum(small(4, schedule="cosine"))
    assert drifting.average_planned.value < drifting.average_fixed.value - 1e-3
    assert drifting.worst_planned.value < drifting.worst_fixed.value - 1e-3
    assert steady.average_planned == steady.average_fixed
    assert steady.worst_planned == steady.worst_fixed


@pytest.mark.parametrize("parts", [1, 2])
def test_mixtures_and_values_belong_together(parts: int) -> None:
    scenario = small(4, parts=parts)
    optimum = find_optimum(scenario)
    whole = scenario.part_exposure.sum(axis=0, keepdims=True)
    for minimum, exposure, worst in (
        (optimum.average_fixed, whole, False),
        (optimum.average_planned, scenario.part_exposure, False),
        (optimum.worst_fixed, whole, True),
        (optimum.worst_planned, scenario.part_exposure, True),
    ):
        np.testing.assert_allclose(minimum.mixtures.sum(axis=1), 1)
        losses = loss(scenario, (exposure * minimum.mixtures).sum(axis=0))
        value = (losses - optimum.alone).max() if worst else scenario.target @ losses
        np.testing.assert_allclose(minimum.value, value, rtol=1e-12)


@pytest.mark.parametrize("tau", [None, np.eye(4), np.eye(4) - 0.2 * np.eye(4, k=1)])
def test_alone_equals_a_descent(tau: Array | None) -> None:
    scenario = small(4, tau=tau)
    found = best_alone(scenario)
    for domain in range(4):
        target = (np.arange(4) == domain).astype(float)
        whole = scenario.part_exposure.sum(axis=0, keepdims=True)
        start = np.full((1, 4), 0.25)
        value = least_average(replace(scenario, target=target), whole, [start]).value
        np.testing.assert_allclose(found[domain], value, atol=2e-5)
        assert found[domain] <= value + 1e-9


def test_alone_by_a_path_agrees_where_nothing_changes() -> None:
    scenario = small(3)
    same = replace(scenario, usefulness=np.ones((2, 3)))
    np.testing.assert_allclose(best_alone(same), best_alone(scenario), atol=1e-5)


def test_nobody_is_better_off_than_alone() -> None:
    scenario = small(4)
    alone = best_alone(scenario)
    whole = scenario.part_exposure.sum(axis=0)
    for mixture in np.random.default_rng(0).dirichlet(np.full(4, 0.5), 300):
        assert (loss(scenario, mixture * whole) >= alone - 1e-9).all()


def test_equal_domains_are_served_alike() -> None:
    number = 5
    alike = {name: np.full(number, value) for name, value in (("alpha", 0.3), ("gain", 7.0))}
    floor, unique = np.full(number, 1.0), np.full(number, 1e5)
    scenario = replace(
        small(number, tau=np.eye(number)), floor=floor, unique_tokens=unique, **alike
    )
    optimum = find_optimum(scenario)
    for minimum in (optimum.average_fixed, optimum.worst_fixed):
        np.testing.assert_allclose(minimum.mixtures, 1 / number, atol=1e-4)


def test_what_nobody_wants_is_not_drawn() -> None:
    optimum = find_optimum(load_scenario("poisoned"))
    assert optimum.average_fixed.mixtures[0, 0] < 1e-6
    assert optimum.worst_fixed.mixtures[0, 0] < 1e-4


def test_harm_is_labelled_as_uncertified() -> None:
    optimum = find_optimum(small(3, tau=np.eye(3) - 0.2 * np.eye(3, k=1)))
    assert np.isinf([optimum.average_fixed.gap, optimum.worst_planned.gap]).all()


def test_an_optimum_is_remembered() -> None:
    scenario = small(2)
    assert find_optimum(scenario) is find_optimum(scenario)


def test_one_domain() -> None:
    optimum = find_optimum(small(1))
    assert abs(optimum.worst_fixed.value) < 1e-9
    np.testing.assert_allclose(optimum.average_fixed.value, optimum.alone[0], rtol=1e-9)


def test_descent_wakes_domains_that_were_dropped() -> None:
    goal = np.array([[0.0, 0.3, 0.7]])
    found = minimise(
        lambda at: (float(((at - goal) ** 2).sum()), 2 * (at - goal)), np.array([[1.0, 0.0, 0.0]])
    )
    np.testing.assert_allclose(found.mixtures, goal, atol=1e-3)
    assert found.value - 0 <= found.gap < 1e-5


def test_the_gap_bounds_the_error() -> None:
    at, goal = np.array([[0.6, 0.3, 0.1]]), np.array([[0.2, 0.2, 0.6]])
    value, gradient = float(((at - goal) ** 2).sum()), 2 * (at - goal)
    assert linear_gap(at, gradient) >= value
