from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from golden import training_feedback, uniform_task

from policies import Feedback, Signal, Task
from policies.contract import check_policy
from policies.published.pike import PiKE, PiKEState, minimise_bound
from policies.signals import Array, GradientNoise
from policies.synthetic import make_task

RAW = PiKE(scale="raw", zeta1=0.5, zeta2=2.0, update_every=1)
SQUARED_NORM, VARIANCE = np.array([4.0, 1.0, 2.0]), np.array([9.0, 0.0, 30.0])
NAN = float("nan")


def heard(
    task: Task, squared_norm: Any, variance: Any, *, size: int = 6, loss: float | Array = 1.0
) -> Feedback:
    """A step with ``size`` sequences, evenly from all domains."""
    domain = np.arange(size) % task.num_domains
    losses = np.broadcast_to(loss, task.num_domains)[domain]
    feedback = training_feedback(task, 0, task.prior, domain.tolist(), losses.tolist())
    noise = GradientNoise(np.array(squared_norm, float), np.array(variance, float))
    return replace(feedback, signals={Signal.GRADIENT_NOISE: noise})


def weights_after(policy: PiKE, task: Task, *feedback: Feedback) -> Array:
    state = policy.init(task)
    for one in feedback:
        state = policy.update(state, one)
    return policy.decide(state, 1).weights


def normalised(values: Array) -> Array:
    return values / values.sum()


@pytest.mark.parametrize("uneven", [False, True])
def test_practical_rule_is_the_equation(uneven: bool) -> None:
    task = make_task(3) if uneven else uniform_task(3)
    found = weights_after(
        RAW,
        task,
        heard(task, SQUARED_NORM, VARIANCE, size=6),
        heard(task, [1.0, 1.0, 3.0], [0.0, 1.0, 0.0], size=12),
    )
    # By hand: 0.5 G - 2 V / 12, then 0.5 G - 2 V / 24.
    gain = np.array([2.0 - 1.5, 0.5, 1.0 - 5.0]) + np.array([0.5, 0.5 - 1 / 12, 1.5])
    np.testing.assert_allclose(found, normalised(task.prior * np.exp(gain)), rtol=1e-12)


def test_balanced_rule_weighs_losses() -> None:
    task = uniform_task(3)
    policy = replace(RAW, tau=2.0)
    loss = np.array([1.0, 2.0, 1.5])
    found = weights_after(policy, task, heard(task, SQUARED_NORM, VARIANCE, loss=loss))
    weight = 2.0 * np.exp(2.0 * loss) / np.exp(2.0 * loss).sum()
    gain = weight**2 * (0.5 * SQUARED_NORM - 2.0 * VARIANCE / 12)
    np.testing.assert_allclose(found, normalised(np.exp(gain)), rtol=1e-12)


def test_balanced_rule_favours_the_domain_that_is_behind() -> None:
    task = uniform_task(3)
    measured = heard(task, np.ones(3), np.zeros(3), loss=np.array([1.0, 3.0, 2.0]))
    plain = weights_after(PiKE(), task, measured)
    np.testing.assert_allclose(plain, 1 / 3)
    balanced = weights_after(PiKE(tau=3.0), task, measured)
    assert balanced[1] > balanced[2] > balanced[0]


def test_losses_are_smoothed_and_kept_where_absent() -> None:
    task, policy = uniform_task(2), PiKE(tau=1.0, loss_memory=0.75)
    state: PiKEState = policy.init(task)
    for domain, loss in (([0, 1], [2.0, 4.0]), ([0], [1.0]), ([0, 1], [NAN, 1e9])):
        state = policy.update(state, training_feedback(task, 0, task.prior, domain, loss))
    np.testing.assert_allclose(state.loss, [1.75, 4.0])
    expected = normalised(np.exp([1.75, 4.0]))
    np.testing.assert_allclose(policy.diagnostics(state)["loss_weight"], expected)


def test_losses_are_compared_in_the_unit_asked_for() -> None:
    task = uniform_task(2)
    feedback = training_feedback(task, 0, task.prior, [0, 1], [1.0, 2.0])
    feedback = replace(feedback, sequence_bytes=np.array([1.0, 2.0]))
    policy = PiKE(tau=1.0, unit="bits_per_byte")
    state = policy.update(policy.init(task), feedback)
    np.testing.assert_allclose(state.loss, 1 / np.log(2))


def test_scale_of_gradients_matters_only_raw() -> None:
    task = uniform_task(3)
    small = heard(task, SQUARED_NORM, VARIANCE)
    large = heard(task, 100 * SQUARED_NORM, 100 * VARIANCE)
    for policy in (PiKE(), PiKE(variant="exact"), PiKE(variant="exact", scale="raw")):
        np.testing.assert_allclose(
            weights_after(policy, task, small), weights_after(policy, task, large), rtol=1e-9
        )
    raw = weights_after(RAW, task, small) / weights_after(RAW, task, large)
    assert raw.max() > 10
    # Relative means in units of the mean squared norm.
    relative = weights_after(replace(RAW, scale="relative"), task, small)
    mean = SQUARED_NORM.mean()
    divided = heard(task, SQUARED_NORM / mean, VARIANCE / mean)
    np.testing.assert_allclose(relative, weights_after(RAW, task, divided), rtol=1e-12)


def bound(weights: Array, slope: Array, curvature: Array) -> Array:
    """The bound at one point, or at many, one a row."""
    result: Array = weights @ slope + weights**2 @ curvature / 2
    return result


@pytest.mark.parametrize("k", [1, 2, 3])
def test_exact_rule_is_the_least_of_all_mixtures(k: int) -> None:
    generator = np.random.default_rng(k)
    grid = generator.dirichlet(np.ones(k), 50_000)
    for _ in range(5):
        slope, curvature = generator.normal(size=k), generator.uniform(0.1, 2, k)
        best = minimise_bound(slope, curvature)
        tried = bound(grid, slope, curvature)
        assert bound(best, slope, curvature) <= tried.min() + 1e-12
        np.testing.assert_allclose(best, grid[tried.argmin()], atol=0.05)


@pytest.mark.parametrize("k", [5, 50, 2000])
def test_exact_rule_meets_the_conditions_of_a_minimum(k: int) -> None:
    generator = np.random.default_rng(k)
    slope, curvature = 1e6 + generator.normal(size=k), generator.lognormal(0, 2, k)
    best = minimise_bound(slope, curvature)
    rate = slope + best * curvature
    assert best.sum() == pytest.approx(1)
    np.testing.assert_allclose(rate[best > 0], rate[best > 0].mean(), rtol=1e-12)
    assert rate[best == 0].min(initial=np.inf) >= rate[best > 0].mean() - 1e-8


def test_exact_rule_is_not_moved_by_a_constant() -> None:
    slope, curvature = np.arange(6) / 16, np.array([0.3, 0.7, 2.0, 5.0, 9.0, 1.0])
    expected = minimise_bound(slope, curvature)
    np.testing.assert_allclose(minimise_bound(slope + 1e13, curvature), expected, rtol=1e-12)


def test_domain_without_gradient_is_almost_free_for_the_exact_rule() -> None:
    task = uniform_task(3)
    policy = PiKE(variant="exact", curvature=1.0)
    assert weights_after(policy, task, heard(task, [0.0, 1.0, 1.0], np.zeros(3)))[0] > 0.9


def test_exact_policy_plays_the_minimum() -> None:
    task = uniform_task(3)
    policy = PiKE(variant="exact", scale="raw", zeta1=0.5, zeta2=2.0, curvature=3.0)
    found = weights_after(policy, task, heard(task, SQUARED_NORM, VARIANCE))
    expected = minimise_bound(-0.5 * SQUARED_NORM + 2.0 * VARIANCE / 12, 3.0 * SQUARED_NORM)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert expected[2] == 0  # Noise shuts it out, and what was shut out may return.
    again = weights_after(
        policy, task, heard(task, SQUARED_NORM, VARIANCE), heard(task, SQUARED_NORM, np.zeros(3))
    )
    assert again[2] > 0


def test_noise_counts_against_a_domain() -> None:
    task = uniform_task(2)
    for variant in ("practical", "exact"):
        policy = PiKE(variant=variant)  # type: ignore[arg-type]
        found = weights_after(policy, task, heard(task, [1.0, 1.0], [0.0, 5.0]))
        assert found[0] > 0.5


def test_unmeasured_domains_are_neither_gain_nor_loss() -> None:
    task = uniform_task(3)
    found = weights_after(RAW, task, heard(task, [2.0, 4.0, NAN], [0.0, 0.0, 1.0]))
    np.testing.assert_allclose(found, normalised(np.exp([1.0, 2.0, 1.5])))
    first = heard(task, [2.0, 4.0, 6.0], np.zeros(3))
    faulty = heard(task, [2.0, NAN, 6.0], [0.0, 0.0, -1.0])
    np.testing.assert_array_equal(
        weights_after(RAW, task, first, first), weights_after(RAW, task, first, faulty)
    )


def test_noise_alone_is_no_reason_to_move() -> None:
    task = make_task(2)
    nothing = heard(task, [-1.0, 0.0], [1.0, 2.0])
    for policy in (PiKE(), PiKE(variant="exact"), PiKE(variant="exact", scale="raw")):
        np.testing.assert_allclose(weights_after(policy, task, nothing), task.prior)


@pytest.mark.parametrize("variant", ["practical", "exact"])
def test_zero_prior_stays_zero(variant: Any) -> None:
    task = replace(make_task(3), prior=np.array([0.0, 0.4, 0.6]))
    policy = PiKE(variant=variant)
    found = weights_after(policy, task, heard(task, [1e3, 1.0, 2.0], np.zeros(3)))
    assert found[0] == 0
    if variant == "exact":  # The least of the mixtures of the others.
        best = minimise_bound(np.array([-1.0, -2.0]), np.array([1.0, 2.0]))
        np.testing.assert_allclose(found[1:], best, atol=0.01)


def test_noise_is_asked_for_when_due() -> None:
    policy = PiKE(update_every=3)
    state = policy.init(make_task(2))
    asked = [bool(policy.decide(state, step).signals) for step in range(5)]
    assert asked == [True, False, False, True, False]


@pytest.mark.parametrize(
    "policy",
    [
        PiKE(update_every=2),
        replace(RAW, tau=3.0),
        PiKE(update_every=1, tau=1.0, unit="bits_per_byte"),
        PiKE(variant="exact", update_every=1),
        PiKE(variant="exact", scale="raw", update_every=3, tau=3.0),
    ],
)
def test_contract_is_kept(policy: PiKE) -> None:
    check_policy(policy, sizes=[1, 2, 13])


def test_many_domains() -> None:
    check_policy(PiKE(variant="exact", update_every=4, tau=1.0), sizes=[2000])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"variant": "fast"}, "variant must be 'practical' or 'exact', got 'fast'"),
        ({"zeta1": -1.0}, r"zeta1 must be in \[0, 1e6\], got -1.0"),
        ({"zeta2": NAN}, r"zeta2 must be in \[0, 1e6\], got nan"),
        ({"curvature": 0.0}, r"curvature must be in \[1e-6, 1e6\], got 0.0"),
        ({"tau": -1.0}, r"tau must be in \[0, 1000\], got -1.0"),
        ({"scale": "log"}, "scale must be 'relative' or 'raw', got 'log'"),
        ({"update_every": 0}, "update_every must be at least 1 step, got 0"),
        ({"loss_memory": 1.0}, r"loss_memory must be in \[0, 1\), got 1.0"),
        ({"unit": "nats"}, "unit must be 'nats_per_token' or 'bits_per_byte', got 'nats'"),
    ],
)
def test_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PiKE(**settings)
