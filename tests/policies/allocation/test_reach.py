"""The closed form under a limit on the change, beside the program that it spares."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference import check_same, precisely

from policies import programs
from policies.allocation.filling import Objective, nearest_within
from policies.allocation.membership import half_distance
from policies.allocation.reach import nearest_in_reach


@pytest.mark.parametrize("objective", ["kl", "euclidean"])
@given(seed=st.integers(0, 10_000), size=st.integers(2, 60))
@settings(max_examples=25, deadline=None)
def test_agrees_with_the_program(objective: Objective, seed: int, size: int) -> None:
    generator = np.random.default_rng(seed)
    inside, previous = generator.dirichlet(np.full(size, 2.0), 2)
    level = generator.dirichlet(np.full(size, generator.uniform(0.3, 3))) + 1e-12
    lower = inside * generator.uniform(0, 1, size)
    upper = np.minimum(inside * generator.uniform(1, 4, size), 1)  # The last may lie outside.
    alone = nearest_within(level, lower, upper, 1.0, objective)
    nearer = generator.uniform(0.1, 0.9)
    change = half_distance((1 - nearer) * alone + nearer * inside, previous)
    assume(change < half_distance(alone, previous) - 1e-6)
    assume(change > half_distance(np.clip(previous, lower, upper), previous) + 1e-6)
    found = nearest_in_reach(level, lower, upper, previous, change, objective)
    if found is None:  # Where bounds alone force a larger change.
        forced = np.clip(previous, lower, upper)
        lacking = abs(1 - forced.sum())
        assert change < half_distance(forced, previous) + lacking / 2
        return
    weights = cp.Variable(size)
    distance = (
        cp.sum_squares(weights - level)
        if objective == "euclidean"
        else -cp.sum(cp.entr(weights)) - np.log(level) @ weights
    )
    moved = cp.norm1(weights - previous) / 2 <= change
    within = [cp.sum(weights) == 1, weights >= lower, weights <= upper, moved]
    problem = cp.Problem(cp.Minimize(distance), within)
    with precisely():
        assume(programs.solve(problem))
    check_same(found.weights, weights.value, level, objective)
    assert half_distance(found.weights, previous) == pytest.approx(change, abs=1e-12)
    assert found.price == pytest.approx(float(moved.dual_value), rel=1e-4, abs=1e-5)


def test_two_scales_of_the_proposal() -> None:
    """0.2 may be moved from where too much is to where too little is; the third is between."""
    level, previous = np.array([0.6, 0.2, 0.19, 0.01]), np.array([0.1, 0.1, 0.2, 0.6])
    found = nearest_in_reach(level, np.zeros(4), np.ones(4), previous, 0.2, "kl")
    assert found is not None
    np.testing.assert_allclose(found.weights, [0.3, 0.1, 0.2, 0.4], atol=1e-15)
    assert found.price == pytest.approx(np.log(40 / 0.5), rel=1e-12)


@pytest.mark.parametrize("objective", ["kl", "euclidean"])
def test_what_the_proposal_leaves_out_falls_first(objective: Objective) -> None:
    """Its breaks are a million millions times those of the others."""
    level, previous = np.array([1e-12, 1e-12, 0.6, 0.4]), np.array([0.2, 0.1, 0.4, 0.3])
    found = nearest_in_reach(level, np.zeros(4), np.ones(4), previous, 0.25, objective)
    assert found is not None
    assert found.weights.sum() == pytest.approx(1, abs=1e-13)
    assert half_distance(found.weights, previous) == pytest.approx(0.25, abs=1e-13)
    fallen = found.weights[:2]
    assert fallen.sum() == pytest.approx(0.05, abs=1e-13)
    np.testing.assert_allclose(fallen, 0.025, atol=1e-10)


def test_a_limit_that_holds_nothing_back() -> None:
    level, previous = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.3, 0.3])
    assert nearest_in_reach(level, np.zeros(3), np.ones(3), previous, 0.09, "kl") is not None
    assert nearest_in_reach(level, np.zeros(3), np.ones(3), previous, 0.11, "kl") is None


def test_bounds_that_force_more_than_the_change() -> None:
    level, previous = np.array([0.5, 0.5]), np.array([0.1, 0.9])
    lower, upper = np.array([0.4, 0.0]), np.ones(2)
    assert nearest_in_reach(level, lower, upper, previous, 0.2, "kl") is None
