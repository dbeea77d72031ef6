"""Closed forms beside the program that they spare."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference import check_same, precisely

from policies import programs
from policies.allocation.closed_form import Grouped, find_partition, hold, nearest_in_groups
from policies.allocation.duals import group_duals
from policies.allocation.filling import Objective, slope_between
from policies.signals import Array


def random_bounds(
    generator: np.random.Generator, size: int
) -> tuple[Array, Array, Array, Array, Array]:
    """A level, bounds of domains, and rows for disjoint groups with their bounds; all feasible."""
    inside = generator.dirichlet(np.ones(size))
    level = generator.dirichlet(np.full(size, generator.uniform(0.3, 3)))
    lower = inside * generator.uniform(0, 1, size)
    upper = np.minimum(inside * generator.uniform(1, 4, size) + 1e-4, 1)
    number = int(generator.integers(1, max(2, size // 3) + 1))
    group = generator.integers(0, number + 1, size)  # The last one is left without bounds.
    rows, bound = [], []
    for one in range(number):
        members = (group == one).astype(np.float64)
        if members.sum() > 1:
            total = float(members @ inside)
            if generator.random() < 0.7:
                rows.append(members)
                bound.append(total * generator.uniform(1, 1.3))
            if generator.random() < 0.7:
                rows.append(-members)
                bound.append(-total * generator.uniform(0.7, 1))
    return level, lower, upper, np.array(rows).reshape(-1, size), np.array(bound)


def within_groups(
    level: Array, lower: Array, upper: Array, matrix: Array, bound: Array, objective: Objective
) -> Grouped | None:
    """The nearest mixture within bounds of domains and of these rows."""
    partition = find_partition(matrix)
    assert partition is not None
    held = hold(lower, upper, partition, bound)
    return held and nearest_in_groups(level, lower, upper, partition, held, objective)


@given(st.integers(0, 10_000), st.sampled_from(["kl", "euclidean"]))
@settings(max_examples=25, deadline=None)
def test_groups_agree_with_the_program(seed: int, objective: Objective) -> None:
    generator = np.random.default_rng(seed)
    size = int(generator.integers(1, 20))
    level, lower, upper, matrix, bound = random_bounds(generator, size)
    found = within_groups(level, lower, upper, matrix, bound, objective)
    assert found is not None
    weights = cp.Variable(size)
    distance = (
        cp.sum_squares(weights - level)
        if objective == "euclidean"
        else cp.sum(cp.kl_div(weights, level))
    )
    within = [cp.sum(weights) == 1, weights >= lower, weights <= upper]
    if len(bound):
        within.append(matrix @ weights <= bound)
    with precisely():
        assume(programs.solve(cp.Problem(cp.Minimize(distance), within)))
    check_same(found.weights, weights.value, level, objective)


@pytest.mark.parametrize("objective", ["kl", "euclidean"])
@given(seed=st.integers(0, 10_000), size=st.integers(1, 300))
@settings(max_examples=40, deadline=None)
def test_one_number_for_all_that_nothing_holds(objective: Objective, seed: int, size: int) -> None:
    """The conditions of optimality, which a number for each group and one for all must meet."""
    generator = np.random.default_rng(seed)
    level, lower, upper, matrix, bound = random_bounds(generator, size)
    partition = find_partition(matrix)
    found = within_groups(level, lower, upper, matrix, bound, objective)
    assert partition is not None
    assert found is not None
    weights = found.weights
    assert abs(weights.sum() - 1) < 1e-12
    assert (weights >= lower).all()
    assert (weights <= upper).all()
    assert (matrix @ weights <= bound + 1e-12).all()
    own, price = np.full(size, found.at), group_duals(found, partition.side, objective)
    for row, at, dual, slack in zip(
        matrix, found.rows, price, bound - matrix @ weights, strict=True
    ):
        assert dual < 1e-11 or abs(slack) < 1e-12
        if dual > 0:
            own[row != 0] = at
    spread = level * own if objective == "kl" else level + own
    np.testing.assert_allclose(found.spread, spread, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(np.clip(spread, lower, upper), weights, atol=1e-14)


@pytest.mark.parametrize("objective", ["kl", "euclidean"])
def test_a_group_that_may_have_nothing(objective: Objective) -> None:
    matrix, side = np.array([[1.0, 1, 0, 0]]), np.ones(1)
    level, zeros, ones = np.array([0.3, 0.3, 0.1, 0.3]), np.zeros(4), np.ones(4)
    found = within_groups(level, zeros, ones, matrix, np.zeros(1), objective)
    assert found is not None
    np.testing.assert_array_equal(found.weights[:2], 0.0)
    assert found.weights.sum() == pytest.approx(1, abs=1e-14)
    assert np.isfinite(group_duals(found, side, objective)).all()
    slope = slope_between(found.weights, found.spread, objective)
    np.testing.assert_array_equal(slope, 0.0)


@pytest.mark.parametrize(
    "matrix",
    [
        [[1, 1, 0], [0, 1, 1]],  # Groups overlap.
        [[1, 1, 0], [1, 1, 1]],  # One lies in the other.
        [[1, 1, 1], [-1, -1, 0]],  # The smaller one second.
        [[1, 2, 0]],  # Not a plain sum.
        [[1, -1, 0]],  # A ratio.
        [[1, 1, 0], [1, 1, 0]],  # Bounded twice.
    ],
)
def test_other_rows_are_no_partition(matrix: list[list[float]]) -> None:
    assert find_partition(np.array(matrix, dtype=np.float64)) is None


def test_rows_that_the_bounds_of_domains_keep_anyway() -> None:
    matrix = np.array([[1.0, 1, 0], [-1, -1, 0]])
    lower, upper = np.array([0.2, 0.0, 0.0]), np.array([0.3, 0.3, 1.0])
    level = np.full(3, 1 / 3)
    found = within_groups(level, lower, upper, matrix, np.array([0.7, -0.1]), "kl")
    assert found is not None
    np.testing.assert_allclose(found.weights, [0.3, 0.3, 0.4], atol=1e-14)
    np.testing.assert_array_equal(group_duals(found, np.array([1.0, -1.0]), "kl"), 0.0)


@pytest.mark.parametrize("bound", [[0.1, -0.1], [0.9, -0.7]])
def test_rows_that_the_bounds_of_domains_break(bound: list[float]) -> None:
    """A group of less than its domains must have, and one of more than they may."""
    matrix = np.array([[1.0, 1, 0], [-1, -1, 0]])
    lower, upper = np.array([0.2, 0.0, 0.0]), np.array([0.3, 0.3, 1.0])
    found = within_groups(np.full(3, 1 / 3), lower, upper, matrix, np.array(bound), "kl")
    assert found is None


def test_groups_that_leave_nothing() -> None:
    matrix, bound = np.array([[1.0, 1, 0], [-1, -1, 0]]), np.array([0.2, -0.3])
    level = np.full(3, 1 / 3)
    assert within_groups(level, np.zeros(3), np.ones(3), matrix, bound, "kl") is None
