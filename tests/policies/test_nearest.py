"""The closed form of the nearest mixture within bounds."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from policies.nearest import nearest_within


@given(st.integers(0, 10_000), st.integers(1, 300))
def test_the_result_is_a_mixture_within_bounds_and_scales_the_free_ones_alike(
    seed: int, size: int
) -> None:
    generator = np.random.default_rng(seed)
    level = generator.lognormal(0, generator.uniform(0, 20), size)
    inside = generator.dirichlet(np.ones(size))
    lower = inside * generator.uniform(0, 1, size)
    upper = np.minimum(inside * generator.uniform(1, 5, size) + 1e-9, 1.0)
    found = nearest_within(level, lower, upper)
    assert abs(found.sum() - 1) < 1e-12
    assert (found >= lower - 1e-9).all()
    assert (found <= upper + 1e-9).all()
    free = (found > lower * (1 + 1e-6) + 1e-12) & (found < upper * (1 - 1e-6) - 1e-12)
    if free.sum() > 1:
        scale = found[free] / level[free]
        np.testing.assert_allclose(scale, scale[0], rtol=1e-6)
        # Whoever sits at a bound would be pushed further out by the common scale.
        full = found >= upper * (1 - 1e-9)
        assert (scale[0] * level[full] >= upper[full] * (1 - 1e-6)).all()


@pytest.mark.parametrize("seed", range(5))
def test_it_is_the_nearest_in_divergence(seed: int) -> None:
    generator = np.random.default_rng(seed)
    level = generator.dirichlet(np.ones(4))
    lower, upper = np.array([0.1, 0.0, 0.3, 0.0]), np.array([0.2, 0.35, 0.6, 1.0])
    found = nearest_within(level, lower, upper)
    solved = minimize(
        lambda p: float(p @ np.log(np.maximum(p, 1e-12) / level)),
        np.clip(np.full(4, 0.25), lower, upper),
        bounds=list(zip(lower, upper, strict=True)),
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
        options={"ftol": 1e-14},
    )
    np.testing.assert_allclose(found, solved.x, atol=1e-5)


def test_levels_far_apart_and_zero_levels() -> None:
    found = nearest_within(np.array([1e-300, 1.0, 0.0]), np.zeros(3), np.array([1.0, 0.4, 1.0]))
    np.testing.assert_allclose(found, [0.6, 0.4, 0.0])


def test_bounds_that_leave_no_mixture_are_refused() -> None:
    with pytest.raises(ValueError, match="must fit between its bounds"):
        nearest_within(np.ones(2), np.zeros(2), np.array([0.3, 0.3]))
    with pytest.raises(ValueError, match="must fit between its bounds"):
        nearest_within(np.ones(2), np.array([0.7, 0.7]), np.ones(2))
