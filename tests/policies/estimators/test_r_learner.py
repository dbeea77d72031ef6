from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from policies.estimators.r_learner import r_learner
from policies.estimators.slates import Slates
from policies.signals import Array

TRUTH = np.array([[1.0, 0.0, -2.0, 3.0], [0.5, 0.5, 1.5, -0.5], [0.0, 0.0, 0.0, 0.0]])


def centred(values: Array) -> Array:
    difference: Array = values - values.mean(axis=1, keepdims=True)
    return difference


def trend(number: int) -> Array:
    """What the schedule adds to all rewards of a round, shape (n, 1)."""
    return np.linspace(3.0, 1.0, number)[:, None]


def drawn(seed: int, number: int = 80, level: float = 0.0, noise: float = 0.1) -> Slates:
    """Shares around an expectation that moves, rewards that fall with time."""
    rng = np.random.default_rng(seed)
    expected = rng.dirichlet(np.full(4, 8.0), number)
    shares = expected * rng.uniform(0.4, 1.6, (number, 4))
    shares += expected * (1 - shares.sum(axis=1, keepdims=True))
    rewards = level + trend(number) + (shares - expected) @ TRUTH.T
    return Slates(
        shares=shares, expected=expected, rewards=rewards + noise * rng.normal(size=(number, 3))
    )


def settings_of(how: str, number: int = 80) -> dict[str, Any]:
    return {
        "constant": {},
        "context": {"context": trend(number)},
        "cross_fitted": {"context": trend(number), "folds": 5},
        "cross_fitted_constant": {"folds": 2},
    }[how]


HOW = ["constant", "context", "cross_fitted", "cross_fitted_constant"]


@pytest.mark.parametrize("how", HOW)
def test_constant_added_to_all_rewards_changes_nothing(how: str) -> None:
    found = r_learner(drawn(0), **settings_of(how))
    shifted = r_learner(drawn(0, level=1000.0), **settings_of(how))
    for part, other in zip(shifted, found, strict=True):
        np.testing.assert_allclose(part, other, atol=1e-8)


def test_planted_effects_are_found_beside_a_trend() -> None:
    slates = drawn(0, noise=0.0)
    known = r_learner(slates, outcome_mean=np.repeat(trend(80), 3, axis=1))
    np.testing.assert_allclose(known.value, centred(TRUTH), atol=1e-9)
    fitted = r_learner(slates, context=trend(80))
    np.testing.assert_allclose(fitted.value, centred(TRUTH), atol=1e-9)
    # The mean of other rounds has errors, of which the shares are independent.
    cross_fitted = r_learner(slates, context=trend(80), folds=4).value
    np.testing.assert_allclose(cross_fitted, centred(TRUTH), atol=0.5)


def test_fit_on_all_rounds_is_ordinary_regression_with_context() -> None:
    slates = drawn(3)
    columns = np.column_stack([slates.deviation, np.ones(80), trend(80)])
    slope = np.linalg.lstsq(columns, slates.rewards, rcond=None)[0]
    found = r_learner(slates, context=trend(80))
    np.testing.assert_allclose(found.value, centred(slope[:4].T), atol=1e-9)
    variance = ((slates.rewards - columns @ slope) ** 2).sum(axis=0) / (80 - 3 - 2)
    contrast = (
        (np.eye(4) - 1 / 4) @ np.linalg.pinv(columns.T @ columns)[:4, :4] @ (np.eye(4) - 1 / 4)
    )
    error = np.sqrt(np.outer(variance, np.diag(contrast)))
    np.testing.assert_allclose(found.standard_error, error, rtol=2e-3)


def test_wrong_outcome_mean_costs_precision_only() -> None:
    values: dict[str, list[Array]] = {how: [] for how in HOW}
    for seed in range(120):
        for how, found in values.items():
            found.append(r_learner(drawn(seed, 40), **settings_of(how, 40)).value)
    for found in values.values():
        error = np.std(found, axis=0) / np.sqrt(len(found))
        assert (np.abs(np.mean(found, axis=0) - centred(TRUTH)) < 3.5 * error).all()
    spread = {how: float(np.std(found, axis=0).mean()) for how, found in values.items()}
    assert spread["constant"] > 2 * spread["context"]


@pytest.mark.parametrize("how", ["context", "cross_fitted"])
def test_intervals_cover(how: str) -> None:
    covered: list[Any] = []
    for seed in range(150):
        found = r_learner(drawn(seed, 40), **settings_of(how, 40))
        covered.append(np.abs(found.value - centred(TRUTH)) < 1.96 * found.standard_error)
    assert 0.90 < np.mean(covered) < 0.98


def test_cross_fitting_keeps_a_round_out_of_its_own_mean() -> None:
    """An outlier in one round alone moves the means of the other folds only."""
    slates = drawn(0, 12)
    rewards = slates.rewards.copy()
    rewards[5] += 100
    for folds in (2, 3, 12):
        fold = np.arange(12) % folds
        means = np.array([rewards[fold != each].mean(axis=0) for each in fold])
        spoilt = replace(slates, rewards=rewards)
        for part, other in zip(
            r_learner(spoilt, folds=folds), r_learner(spoilt, outcome_mean=means), strict=True
        ):
            np.testing.assert_allclose(part, other, rtol=1e-9, atol=1e-9)


def test_as_much_context_as_rounds_leaves_nothing_to_tell() -> None:
    found = r_learner(drawn(0, 12), context=np.eye(12)[:, :11])
    assert np.isinf(found.standard_error).all()


def test_unmeasured_rewards_do_not_spread() -> None:
    slates = drawn(0)
    rewards = slates.rewards.copy()
    rewards[3:6, 0], rewards[:, 2] = [np.nan, np.inf, -1e308], np.nan
    for how in HOW:
        found = r_learner(replace(slates, rewards=rewards), **settings_of(how))
        whole = r_learner(slates, **settings_of(how))
        np.testing.assert_array_equal(found.value[1], whole.value[1])
        np.testing.assert_allclose(found.value[0], whole.value[0], atol=1.0)
        np.testing.assert_array_equal(found.value[2], 0)
        assert np.isinf(found.standard_error[2]).all()
        assert np.isfinite(found.standard_error[:2]).all()


def test_order_of_domains_does_not_matter() -> None:
    slates, order = drawn(0), np.array([2, 0, 3, 1])
    moved = replace(slates, shares=slates.shares[:, order], expected=slates.expected[:, order])
    for part, other in zip(r_learner(moved), r_learner(slates), strict=True):
        np.testing.assert_allclose(part, other[:, order], rtol=1e-8, atol=1e-10)


def test_ridge_trusts_the_model() -> None:
    found = r_learner(drawn(0), model=TRUTH + 1, ridge=1e9)
    np.testing.assert_allclose(found.value, centred(TRUTH), atol=1e-6)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"folds": 0}, r"folds must be in \[1, 80\], the number of rounds, got 0"),
        ({"folds": 81}, r"folds must be in \[1, 80\]"),
        ({"context": np.ones(80)}, r"context must have shape \(80, q\), got \(80,\)"),
        ({"outcome_mean": np.ones(80)}, r"outcome_mean must have shape \(80, 3\), got \(80,\)"),
        ({"outcome_mean": np.ones((80, 3)), "folds": 2}, "outcome_mean must come without context"),
    ],
)
def test_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        r_learner(drawn(0), **settings)
