from __future__ import annotations

import numpy as np

from policies.mirror import mirror_step


def test_gains_multiply_and_smoothing_shares_evenly() -> None:
    weights, gain = np.array([0.2, 0.3, 0.5]), np.array([1.0, 0.0, -1.0])
    tilted = weights * np.exp(gain)
    tilted /= tilted.sum()
    np.testing.assert_allclose(mirror_step(weights, gain), tilted, rtol=1e-12)
    smoothed = 0.9 * tilted + 0.1 / len(tilted)
    np.testing.assert_allclose(mirror_step(weights, gain, 0.1), smoothed, rtol=1e-12)


def test_a_constant_gain_changes_nothing() -> None:
    weights = np.array([0.2, 0.3, 0.5])
    np.testing.assert_allclose(mirror_step(weights, np.full(3, 1e4)), weights)


def test_zero_stays_zero() -> None:
    found = mirror_step(np.array([0.0, 0.5, 0.5]), np.array([5.0, 0.0, 0.0]), 0.2)
    np.testing.assert_allclose(found, [0.0, 0.5, 0.5])
