from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from policies.estimators.effects import Effects
from policies.estimators.slates import Slates, doubly_robust_slate, pseudo_inverse_slate
from policies.signals import Array

EXPECTED = np.array([0.5, 0.25, 0.15, 0.1])
TRUTH = np.array([[1.0, 0.0, -2.0, 3.0], [0.5, 0.5, 1.5, -0.5]])
WRONG = np.array([[0.0, 3.0, 1.0, 0.0], [4.0, 0.0, 0.0, 0.0]])


def design(rng: np.random.Generator, number: int) -> Array:
    """Shares from a Dirichlet distribution with this expectation."""
    return rng.dirichlet(20 * EXPECTED, number)


COVARIANCE = (np.diag(EXPECTED) - np.outer(EXPECTED, EXPECTED)) / 21


def centred(values: Array) -> Array:
    difference: Array = values - values.mean(axis=1, keepdims=True)
    return difference


def drawn(seed: int, number: int = 60, level: float = 0.0) -> Slates:
    rng = np.random.default_rng(seed)
    shares = design(rng, number)
    noise = 0.1 * rng.normal(size=(number, 2))
    return Slates(shares=shares, expected=EXPECTED, rewards=level + shares @ TRUTH.T + noise)


def bias(model: Array, covariance: Array = COVARIANCE, repeats: int = 400) -> Array:
    """Bias of each effect in standard errors of the mean over repetitions."""
    found = [doubly_robust_slate(drawn(seed), covariance, model).value for seed in range(repeats)]
    error = np.std(found, axis=0) / np.sqrt(repeats)
    score: Array = (np.mean(found, axis=0) - centred(TRUTH)) / error
    return score


def test_right_model_is_enough() -> None:
    wrong = np.diag([0.3, 0.1, 0.1, 0.1])
    assert np.abs(bias(TRUTH, wrong)).max() < 3.2
    assert np.abs(bias(np.zeros((2, 4)), wrong)).max() > 10


def test_right_design_is_enough() -> None:
    assert np.abs(bias(WRONG)).max() < 3.2
    assert np.abs(centred(WRONG) - centred(TRUTH)).max() > 1


def test_good_model_saves_noise() -> None:
    slates = drawn(0)
    found = doubly_robust_slate(slates, COVARIANCE, TRUTH + 0.1)
    assert (
        2 * found.standard_error < pseudo_inverse_slate(slates, COVARIANCE).standard_error
    ).all()


def test_model_may_predict_the_level() -> None:
    """A level in the rewards is noise unless the model's rows hold it."""
    slates = drawn(0, level=5.0)
    plain = doubly_robust_slate(drawn(0), COVARIANCE, WRONG)
    raised = doubly_robust_slate(slates, COVARIANCE, WRONG + 5)
    for found, other in zip(raised, plain, strict=True):
        np.testing.assert_allclose(found, other, atol=1e-9)
    unaware = doubly_robust_slate(slates, COVARIANCE, WRONG)
    assert (unaware.standard_error > 1.5 * plain.standard_error).all()


def test_without_a_model_it_is_the_pseudo_inverse_estimator() -> None:
    slates = drawn(0)
    inverse = np.linalg.inv(COVARIANCE + np.outer(EXPECTED, EXPECTED))
    terms = (slates.shares @ inverse)[:, None, :] * slates.rewards[:, :, None]
    terms -= terms.mean(axis=2, keepdims=True)
    found = pseudo_inverse_slate(slates, COVARIANCE)
    np.testing.assert_allclose(found.value, terms.mean(axis=0), atol=1e-10)
    error = terms.std(axis=0, ddof=1) / np.sqrt(len(terms))
    np.testing.assert_allclose(found.standard_error, error, rtol=1e-8)


def test_intervals_cover() -> None:
    covered: list[Any] = []
    for seed in range(200):
        found = doubly_robust_slate(drawn(seed, 150), COVARIANCE, WRONG)
        covered.append(np.abs(found.value - centred(TRUTH)) < 1.96 * found.standard_error)
    assert 0.90 < np.mean(covered) < 0.98


def test_rounds_may_have_designs_of_their_own() -> None:
    """Expected shares that move from round to round, with their covariances."""
    found: list[Array] = []
    for seed in range(300):
        rng = np.random.default_rng(seed)
        expected = rng.dirichlet(np.full(4, 5.0), 40)
        shares = np.array([rng.dirichlet(20 * each) for each in expected])
        outer = expected[:, :, None] * expected[:, None, :]
        covariance = (expected[:, :, None] * np.eye(4) - outer) / 21
        slates = Slates(shares=shares, expected=expected, rewards=shares @ TRUTH.T)
        found.append(doubly_robust_slate(slates, covariance, WRONG).value)
    error = np.std(found, axis=0) / np.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0) - centred(TRUTH)) < 3.2 * error).all()


@pytest.mark.parametrize("fault", [np.nan, np.inf, -1e308])
def test_unmeasured_rewards_are_left_out(fault: float) -> None:
    slates = drawn(0)
    rewards = slates.rewards.copy()
    rewards[:10, 1] = fault
    found = doubly_robust_slate(replace(slates, rewards=rewards), COVARIANCE, WRONG)
    whole = doubly_robust_slate(slates, COVARIANCE, WRONG)
    rest = Slates(shares=slates.shares[10:], expected=EXPECTED, rewards=slates.rewards[10:])
    later = doubly_robust_slate(rest, COVARIANCE, WRONG)
    for part, all_rounds, fewer in zip(found, whole, later, strict=True):
        np.testing.assert_allclose(part[0], all_rounds[0])
        np.testing.assert_allclose(part[1], fewer[1])


@pytest.mark.parametrize("number", [0, 1])
def test_too_few_rounds_have_no_standard_error(number: int) -> None:
    found = doubly_robust_slate(drawn(0, number), COVARIANCE, WRONG)
    assert np.isfinite(found.value).all()
    assert np.isinf(found.standard_error).all()


def test_order_of_domains_and_rewards_does_not_matter() -> None:
    slates, columns, rows = drawn(0), np.array([2, 0, 3, 1]), np.array([1, 0])
    moved = Slates(
        shares=slates.shares[:, columns],
        expected=EXPECTED[columns],
        rewards=slates.rewards[:, rows],
    )
    found = doubly_robust_slate(slates, COVARIANCE, WRONG)
    other = doubly_robust_slate(moved, COVARIANCE[columns][:, columns], WRONG[rows][:, columns])
    expected = Effects(*(part[rows][:, columns] for part in found))
    for part, wanted in zip(other, expected, strict=True):
        np.testing.assert_allclose(part, wanted, rtol=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shares": np.zeros(3)}, r"shares must have shape \(n, k\), got \(3,\)"),
        ({"expected": np.zeros(3)}, r"expected must have shape \(60, 4\) or \(4,\), got \(3,\)"),
        ({"rewards": np.zeros((9, 2))}, r"rewards must have shape \(60, m\), got \(9, 2\)"),
        ({"expected": np.full(4, np.nan)}, "shares and expected must be finite"),
    ],
)
def test_slates_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(drawn(0), **changes)


def test_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"covariance must have shape \(4, 4\) or \(60, 4, 4\)"):
        pseudo_inverse_slate(drawn(0), np.eye(3))
    with pytest.raises(ValueError, match=r"model must have shape \(2, 4\), got \(4, 2\)"):
        doubly_robust_slate(drawn(0), COVARIANCE, WRONG.T)
