"""The closed form under a limit on the divergence, beside the program that it spares."""

from __future__ import annotations

from typing import NamedTuple

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from reference import check_same, distance, precisely

from policies import programs
from policies.allocation.filling import nearest_within
from policies.allocation.reach import Reached
from policies.allocation.reach_kl import bounds_between, nearest_in_divergence, way_between
from policies.signals import Array


class Limited(NamedTuple):
    """A limit on the divergence between what bounds force and what they alone allow."""

    level: Array
    lower: Array
    upper: Array
    previous: Array
    divergence: float


def random_limit(seed: int, size: int) -> Limited | None:
    """None where bounds hold nothing back."""
    generator = np.random.default_rng([seed, size])
    inside, previous = generator.dirichlet(np.full(size, 2.0), 2)
    level = generator.dirichlet(np.full(size, generator.uniform(0.3, 3))) + 1e-12
    lower = inside * generator.uniform(0, 1, size)
    upper = np.minimum(inside * generator.uniform(1, 4, size), 1)  # The last may lie outside.
    least, most = (
        distance(nearest_within(near, lower, upper, 1.0, "kl"), previous, "kl")
        for near in (previous, level)
    )
    part = generator.uniform(0.1, 0.9)
    if most < least + 1e-4:
        return None
    return Limited(level, lower, upper, previous, least + part * (most - least))


def nearest(
    level: Array, lower: Array, upper: Array, previous: Array, divergence: float
) -> Reached | None:
    way = way_between(previous, level)
    return nearest_in_divergence(way, bounds_between(lower, upper), divergence)


def test_way_and_its_divergence() -> None:
    level, previous = np.array([0.5, 0.3, 0.2]), np.array([0.0, 0.6, 0.4])
    way = way_between(previous, level)
    np.testing.assert_allclose(np.exp(way.before + way.rises), level, rtol=1e-14)
    held = np.array([1e-12, 0.6, 0.4])
    assert way.divergence == pytest.approx(distance(level, held, "kl"), rel=1e-12)


@given(seed=st.integers(0, 10_000), size=st.integers(2, 60))
@settings(max_examples=15, deadline=None)
def test_agrees_with_the_program(seed: int, size: int) -> None:
    made = random_limit(seed, size)
    assume(made is not None)
    assert made is not None
    level, lower, upper, previous, limit = made
    found = nearest(*made)
    assume(found is not None)
    assert found is not None
    weights = cp.Variable(size)
    moved = programs.relative_entropy(weights, np.log(previous)) <= limit
    within = [cp.sum(weights) == 1, weights >= lower, weights <= upper, moved]
    problem = cp.Problem(cp.Minimize(programs.relative_entropy(weights, np.log(level))), within)
    with precisely():
        assume(programs.solve(problem))
    check_same(found.weights, weights.value, level, "kl")
    assert distance(found.weights, previous, "kl") == pytest.approx(limit, abs=1e-11)
    assert found.price == pytest.approx(float(moved.dual_value), rel=1e-4, abs=1e-5)
    inner = (weights.value > lower + 1e-6) & (weights.value < upper - 1e-6)
    np.testing.assert_allclose(found.slope[inner], 0, atol=1e-12)
    assert (found.slope[found.weights < upper - 1e-12] >= -1e-12).all()
    assert (found.slope[found.weights > lower + 1e-12] <= 1e-12).all()


def test_the_search_gets_through_nearly_always() -> None:
    made = [random_limit(seed, 2 + seed) for seed in range(100)]
    asked = [one for one in made if one is not None]
    assert sum(nearest(*one) is not None for one in asked) > 0.9 * len(asked)


def test_halfway_in_logarithms() -> None:
    level, previous = np.array([0.8, 0.1, 0.1]), np.array([0.05, 0.45, 0.5])
    halfway = np.sqrt(level * previous) / np.sqrt(level * previous).sum()
    limit = distance(halfway, previous, "kl")
    found = nearest(level, np.zeros(3), np.ones(3), previous, limit)
    assert found is not None
    np.testing.assert_allclose(found.weights, halfway, atol=1e-12)
    assert found.price == pytest.approx(1, rel=1e-10)


@pytest.mark.parametrize("by", [0.99, 1.01])
def test_a_limit_that_holds_nothing_back(by: float) -> None:
    level, previous = np.array([0.5, 0.3, 0.2]), np.array([0.4, 0.3, 0.3])
    limit = by * distance(level, previous, "kl")
    found = nearest(level, np.zeros(3), np.ones(3), previous, limit)
    assert (found is None) == (by > 1)


@pytest.mark.parametrize("previous", [[0.1, 0.9], [0.5, 0.5]])
def test_a_mixture_that_bounds_or_the_proposal_leave_alone(previous: list[float]) -> None:
    """Bounds force more than the limit; the proposal is the last mixture."""
    lower = np.array([0.4, 0.0])
    level, last = np.array([0.5, 0.5]), np.array(previous)
    assert nearest(level, lower, np.ones(2), last, 1e-3) is None
