from __future__ import annotations

import numpy as np
import pytest

from policies.learning_curves import EXPONENTS, POINTS, fit_curves, no_history, remember

TOKENS = np.geomspace(1e3, 1e7, 12)[:, None] * np.array([1.0, 3.0, 10.0])
FLOOR = np.array([1.0, 0.0, 2.5])
SCALE = np.array([30.0, 5.0, 4.0])
EXPONENT = EXPONENTS[[40, 20, 30]]


def test_planted_curves_are_found() -> None:
    curves = fit_curves(TOKENS, FLOOR + SCALE * TOKENS**-EXPONENT)
    assert curves is not None
    np.testing.assert_allclose(curves.exponent, EXPONENT)
    np.testing.assert_allclose(curves.floor, FLOOR, atol=1e-9)
    np.testing.assert_allclose(curves.scale, SCALE, rtol=1e-8)
    assert curves.fitted.all()


def test_gaps_are_left_out() -> None:
    loss = FLOOR + SCALE * TOKENS**-EXPONENT
    tokens = TOKENS.copy()
    loss[::3, 0] = np.nan
    tokens[1::4, 1] = np.nan
    curves = fit_curves(tokens, loss)
    assert curves is not None
    np.testing.assert_allclose(curves.scale, SCALE, rtol=1e-8)


def test_domain_without_points_gets_the_median_of_the_others() -> None:
    loss = FLOOR + SCALE * TOKENS**-EXPONENT
    loss[3:, 1] = np.nan
    curves = fit_curves(TOKENS, loss)
    assert curves is not None
    assert curves.fitted.tolist() == [True, False, True]
    assert curves.floor[1] == pytest.approx(np.median(FLOOR[[0, 2]]))
    assert curves.exponent[1] == pytest.approx(np.median(EXPONENT[[0, 2]]))


def test_no_curve_through_too_few_points() -> None:
    assert fit_curves(TOKENS[:3], TOKENS[:3]) is None
    # The same number of tokens again is no further point.
    assert fit_curves(TOKENS[[0, 1, 2, 2, 2]], np.ones((5, 3))) is None


def test_rising_loss_is_a_flat_curve() -> None:
    curves = fit_curves(TOKENS, 1 + TOKENS / 1e8)
    assert curves is not None
    np.testing.assert_array_equal(curves.scale, 0)
    np.testing.assert_allclose(curves.floor, (1 + TOKENS / 1e8).mean(axis=0))


def test_history_covers_the_whole_run_in_even_steps() -> None:
    history = no_history(1)
    for number in range(1000):
        history = remember(history, np.array([number + 1.0]), np.array([2.0]))
    kept = history.tokens[: history.rows, 0]
    assert POINTS // 2 <= len(kept) <= POINTS
    assert kept[0] == 1
    assert set(np.diff(kept)) == {history.stride}
    assert kept[-1] > 1000 - history.stride
    assert np.isnan(history.tokens[history.rows :]).all()


def test_domains_without_a_loss_or_tokens_are_gaps() -> None:
    history = remember(no_history(2), np.ones(2), np.array([1.0, np.nan]))
    np.testing.assert_array_equal(np.isfinite(history.loss[0]), [True, False])
    history = remember(no_history(2), np.array([0.0, 5.0]), np.ones(2))
    np.testing.assert_array_equal(np.isfinite(history.tokens[0]), [False, True])


def test_thinned_points_stay_on_a_curve_that_bends() -> None:
    history = no_history(1)
    for number in range(1, 1001):
        tokens = np.array([1e6 * number])
        history = remember(history, tokens, 1 + 3000 * tokens**-0.5)
    rows = history.rows
    curves = fit_curves(history.tokens[:rows], history.loss[:rows])
    assert curves is not None
    np.testing.assert_allclose(curves.floor, 1.0, atol=0.01)
