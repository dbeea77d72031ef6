from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.simplex import check_weights, softmax, tilt

NAMES = ("am", "sw", "yo")


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([0.5, 0.5], r"prior must have shape \(3,\), got \(2,\)"),
        ([0.5, -0.1, 0.6], "prior of 'sw' must be finite and not negative, got -0.1"),
        ([0.5, 0.5, np.nan], "prior of 'yo' must be finite and not negative, got nan"),
        ([np.inf, 0.5, 0.5], "prior of 'am' must be finite and not negative, got inf"),
        ([0.5, 0.5, 0.1], "prior must sum to one, got 1.1"),
    ],
)
def test_bad_weights_are_refused_by_name(weights: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_weights(weights, NAMES, "prior")


def test_rounded_weights_are_made_to_sum_to_one() -> None:
    assert check_weights([0.3333333, 0.3333333, 0.3333333], NAMES, "prior").sum() == 1.0


def test_softmax_survives_extreme_logits() -> None:
    np.testing.assert_array_equal(softmax(np.array([1e5, -1e5, -np.inf])), [1, 0, 0])


def test_tilt_keeps_zeros_and_ratios() -> None:
    prior = np.array([0.2, 0.0, 0.8])
    tilted = tilt(prior, np.array([np.log(4), 700.0, 0.0]))
    np.testing.assert_allclose(tilted, [0.5, 0.0, 0.5])


@given(st.integers(1, 2000), st.integers(0, 9), st.floats(0, 1e4))
def test_tilt_is_a_mixture_for_any_number_of_domains(size: int, seed: int, scale: float) -> None:
    generator = np.random.default_rng(seed)
    prior = generator.dirichlet(np.full(size, 0.1))
    exponent = scale * generator.normal(size=size)
    tilted = tilt(prior, exponent)
    assert np.isfinite(tilted).all()
    assert tilted.sum() == pytest.approx(1, abs=1e-12)
    np.testing.assert_allclose(tilt(prior, exponent + 123.0), tilted, atol=1e-9)
