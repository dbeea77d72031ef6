from __future__ import annotations

import numpy as np
import pytest

from policies.signals import Array
from policies.waterfilling import LogMarginal, water_fill

NO_CAP = np.full(3, np.inf)
ONES = np.ones(3)


def power(value: Array, exponent: float = 1.5) -> LogMarginal:
    """Worth ``value * x ** -exponent``: without caps the amounts are ~ value ** (1 / exponent)."""

    def log_marginal(amounts: Array) -> Array:
        with np.errstate(divide="ignore"):
            return np.log(value) - exponent * np.log(amounts)

    return log_marginal


def test_closed_form() -> None:
    value, cost = np.array([1.0, 2.0, 5.0]), np.array([1.0, 3.0, 0.5])
    amounts = water_fill(power(value), cost, NO_CAP, 7.0)
    expected = (value / cost) ** (1 / 1.5)
    np.testing.assert_allclose(amounts, 7 * expected / (cost @ expected), rtol=1e-12)


def test_caps_are_kept_and_the_rest_is_shared() -> None:
    value, cap = np.array([1.0, 2.0, 5.0]), np.array([np.inf, 0.25, np.inf])
    amounts = water_fill(power(value), ONES, cap, 1.0)
    share = value[[0, 2]] ** (1 / 1.5)
    assert amounts[1] == 0.25
    np.testing.assert_allclose(amounts[[0, 2]], 0.75 * share / share.sum(), rtol=1e-12)


def test_worthless_domains_get_nothing() -> None:
    amounts = water_fill(power(np.array([1.0, 0.0, 1.0])), ONES, NO_CAP, 1.0)
    np.testing.assert_allclose(amounts, [0.5, 0, 0.5])
    assert not water_fill(power(np.zeros(3)), ONES, NO_CAP, 1.0).any()


def test_budget_beyond_all_caps_fills_them() -> None:
    cap = np.array([0.1, 0.2, 0.3])
    np.testing.assert_array_equal(water_fill(power(ONES), ONES, cap, 1.0), cap)


def test_late_start_leaves_a_domain_empty() -> None:
    """Worth a / (b + x): a domain whose first token is worth less than the level gets none."""
    worth, late = np.array([1.0, 1.0, 1.0]), np.array([0.1, 0.2, 50.0])
    amounts = water_fill(lambda x: np.log(worth / (late + x)), ONES, NO_CAP, 1.0)
    np.testing.assert_allclose(amounts, [0.55, 0.45, 0], atol=1e-12)


def test_same_as_buying_one_token_after_the_other() -> None:
    value, cost, tokens = np.array([1.0, 2.0, 5.0]), np.array([1.0, 3.0, 0.5]), 3000
    bought, spent = np.full(3, 1e-9), 0.0
    for _ in range(tokens):
        best = int(np.argmax(value * (bought + 5e-4) ** -1.5 / cost))
        bought[best] += 1e-3 / cost[best]
        spent += 1e-3
    amounts = water_fill(power(value), cost, NO_CAP, spent)
    np.testing.assert_allclose(bought, amounts, atol=3e-3)


@pytest.mark.parametrize("seed", range(3))
def test_order_of_domains_is_no_matter(seed: int) -> None:
    generator = np.random.default_rng(seed)
    value, cost = generator.lognormal(0, 2, 200), generator.lognormal(0, 1, 200)
    order, cap = generator.permutation(200), generator.uniform(0, 0.1, 200)
    amounts = water_fill(power(value), cost, cap, 1.0)
    turned = water_fill(power(value[order]), cost[order], cap[order], 1.0)
    np.testing.assert_allclose(turned, amounts[order], rtol=0, atol=1e-14)
    assert cost @ amounts == pytest.approx(min(1.0, cost @ cap), abs=1e-12)
