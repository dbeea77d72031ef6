from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from policies.log_linear import LogLinear, fit_log_linear, huber_error, propose
from policies.signals import Array
from policies.simplex import tilt

NO_CAP = np.ones(3)


def planted(size: int, runs: int, seed: int = 0) -> tuple[LogLinear, Array]:
    generator = np.random.default_rng(seed)
    law = LogLinear(generator.uniform(1, 2, 2), generator.normal(0, 1, (2, size)))
    return law, generator.dirichlet(np.ones(size), runs)


def test_planted_law_is_found() -> None:
    law, mixtures = planted(4, 40)
    fit = fit_log_linear(mixtures, law.predict(mixtures))
    np.testing.assert_allclose(fit.slope, law.slope, atol=1e-3)
    np.testing.assert_allclose(fit.floor, law.floor, atol=1e-3)


def test_outliers_pull_no_harder_than_their_sign() -> None:
    law, mixtures = planted(4, 60)
    losses = law.predict(mixtures)
    losses[::10] += 3.0
    fit = fit_log_linear(mixtures, losses)
    error = np.abs(fit.predict(mixtures) - law.predict(mixtures))
    assert np.median(error) < 0.01
    square = fit_log_linear(mixtures, losses, huber=100.0)
    assert np.median(error) < 0.1 * np.median(
        np.abs(square.predict(mixtures) - law.predict(mixtures))
    )


@pytest.mark.parametrize("huber", [0.02, 10.0])
def test_gradient_is_that_of_the_error(huber: float) -> None:
    law, mixtures = planted(4, 20)
    losses = law.predict(mixtures)[:, 0] + np.random.default_rng(0).normal(0, 0.1, 20)
    parameters = np.array([0.1, 0.5, -0.5, 0.2, 0.0])
    gradient = huber_error(parameters, mixtures, losses, huber)[1]
    numeric = approx_fprime(parameters, lambda x: huber_error(x, mixtures, losses, huber)[0], 1e-7)
    np.testing.assert_allclose(gradient, numeric, rtol=1e-4, atol=1e-6)


def test_huber_by_hand() -> None:
    """Errors of 0.01 and 1 at 0.02: half the square, and 0.02 (1 - 0.01)."""
    losses = np.array([2 - 0.01, 2 - 1.0])
    error = huber_error(np.zeros(3), np.eye(2), losses, 0.02)[0]
    assert error == pytest.approx(0.5 * 0.01**2 + 0.02 * (1 - 0.01))


def test_absurd_parameters_do_not_overflow() -> None:
    error, gradient = huber_error(np.array([900.0, 900, 900]), np.eye(2), np.ones(2), 0.02)
    assert np.isfinite(error)
    assert np.isfinite(gradient).all()


def test_proposal_by_conditions_of_optimality() -> None:
    law, _ = planted(5, 1, seed=2)
    counts, prior = np.array([0.3, 0.7]), np.random.default_rng(1).dirichlet(np.ones(5))
    most, kl = np.full(5, 0.35), 0.2
    weights = propose(law, counts, prior, most, kl)
    assert weights is not None
    gradient = (counts * np.exp(law.slope @ weights)) @ law.slope
    gradient = gradient + kl * (np.log(weights / prior) + 1)
    full = weights > 0.35 - 1e-6
    assert 0 < full.sum() < 5
    np.testing.assert_allclose(gradient[~full], gradient[~full].mean(), atol=2e-3)
    assert gradient[full].max() <= gradient[~full].mean() + 2e-3
    assert weights.max() <= 0.35 + 1e-7


def test_strong_pull_stays_at_the_prior_and_none_leaves_for_the_best() -> None:
    law = LogLinear(np.ones(1), np.array([[0.0, -1.0, 1.0]]))
    prior, one = np.array([0.5, 0.3, 0.2]), np.ones(1)
    near = propose(law, one, prior, NO_CAP, 1e3)
    far = propose(law, one, prior, NO_CAP, 0.0)
    assert near is not None
    assert far is not None
    np.testing.assert_allclose(near, prior, atol=1e-3)
    np.testing.assert_allclose(far, [0, 1, 0], atol=1e-4)


def test_small_slopes_are_a_tilt() -> None:
    """The loss being nearly linear, the proposal is prior * exp(-slope / kl)."""
    slope, prior = 1e-3 * np.array([1.0, -2.0, 3.0]), np.array([0.5, 0.3, 0.2])
    weights = propose(LogLinear(np.ones(1), slope[None]), np.ones(1), prior, NO_CAP, 1e-3)
    assert weights is not None
    np.testing.assert_allclose(weights, tilt(prior, -slope / 1e-3), atol=3e-3)


def test_losses_that_do_not_count_and_domains_without_prior() -> None:
    law = LogLinear(np.ones(2), np.array([[0.0, -1.0, 1.0], [900.0, -900, 0]]))
    weights = propose(law, np.array([1.0, 0.0]), np.array([0.5, 0, 0.5]), NO_CAP, 0.01)
    assert weights is not None
    assert weights[1] == 0
    assert weights[0] > 0.99


def test_caps_that_leave_no_mixture_give_none() -> None:
    law, _ = planted(3, 1)
    assert propose(law, np.ones(2), np.full(3, 1 / 3), np.full(3, 0.1), 0.1) is None
