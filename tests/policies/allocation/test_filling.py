"""Amounts within bounds: what they are by definition, and that none are made up."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.allocation.filling import Objective, fill, nearest_within
from policies.signals import Array


def random_boxes(
    generator: np.random.Generator, size: int, total: float
) -> tuple[Array, Array, Array]:
    """A level and bounds between which amounts of this sum fit."""
    inside = total * generator.dirichlet(np.ones(size))
    level = generator.dirichlet(np.full(size, generator.uniform(0.02, 3))) + 1e-12
    lower = inside * generator.uniform(0, 1, size) * (generator.random(size) < 0.7)
    upper = np.where(generator.random(size) < 0.7, inside * generator.uniform(1, 4, size), 9.0)
    return level, lower, upper


@pytest.mark.parametrize("objective", ["kl", "euclidean"])
@given(seed=st.integers(0, 10_000), size=st.integers(1, 300))
@settings(max_examples=80, deadline=None)
def test_the_free_ones_are_scaled_or_shifted_alike(
    objective: Objective, seed: int, size: int
) -> None:
    generator = np.random.default_rng(seed)
    total = float(generator.uniform(0.1, 2))
    level, lower, upper = random_boxes(generator, size, total)
    found = nearest_within(level, lower, upper, total, objective)
    assert abs(found.sum() - total) < 1e-12
    assert (found >= lower).all()
    assert (found <= upper).all()
    moved = np.log(np.maximum(found, 1e-300) / level) if objective == "kl" else found - level
    free = (found > lower) & (found < upper)
    if free.any():
        common = moved[free][0]
        np.testing.assert_allclose(moved[free], common, atol=1e-11)
        assert (moved[found == lower] >= common - 1e-11).all()
        assert (moved[(found == upper) & (upper > lower)] <= common + 1e-11).all()


@pytest.mark.parametrize("objective", ["kl", "euclidean"])
@pytest.mark.parametrize("start", [-1.0, 0.0, 1e-9, 1.0, 1e9])
def test_any_start_leads_to_the_same_amounts(objective: Objective, start: float) -> None:
    level, lower, upper = random_boxes(np.random.default_rng(3), 30, 1.0)
    found = fill(level, lower, upper, 1.0, objective, start).amounts
    expected = nearest_within(level, lower, upper, 1.0, objective)
    np.testing.assert_allclose(found, expected, atol=1e-13)


@pytest.mark.parametrize("objective", ["kl", "euclidean"])
@pytest.mark.parametrize("total", [0.1, 0.9])
def test_a_sum_out_of_reach_is_refused(objective: Objective, total: float) -> None:
    level, lower, upper = np.array([0.5, 0.5]), np.full(2, 0.1), np.full(2, 0.4)
    with pytest.raises(ValueError, match=f"a sum of {total} is asked for, the nearest one is 0."):
        nearest_within(level, lower, upper, total, objective)


def test_levels_far_apart_keep_their_proportions() -> None:
    level = np.array([1.0, 1e-100, 2e-100])
    found = nearest_within(level, np.zeros(3), np.array([0.4, 1.0, 1.0]), 1.0, "kl")
    np.testing.assert_allclose(found, [0.4, 0.2, 0.4], rtol=1e-14)


@pytest.mark.parametrize("objective", ["kl", "euclidean"])
def test_where_nothing_is_free_the_next_break_follows(objective: Objective) -> None:
    """At first the great one is at its maximum, the small ones at their minima; or one rises."""
    level, upper = np.array([1.0, 3e-3, 3e-3]), np.array([0.4, 1.0, 1.0])
    found = nearest_within(level, np.array([0.0, 0.1, 0.1]), upper, 1.0, objective)
    np.testing.assert_allclose(found, [0.4, 0.3, 0.3], rtol=1e-14)
    level, lower = np.array([1e-3, 0.7, 0.7]), np.array([0.6, 0.0, 0.0])
    found = nearest_within(level, lower, np.array([1.0, 0.3, 0.3]), 1.0, objective)
    np.testing.assert_allclose(found, [0.6, 0.2, 0.2], rtol=1e-14)
