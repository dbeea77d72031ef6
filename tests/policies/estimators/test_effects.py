from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from policies.estimators.effects import (
    EffectMoments,
    Effects,
    absorb,
    effects,
    merge,
    no_moments,
)
from policies.signals import Array

Rng = np.random.Generator


def centred(values: Array) -> Array:
    """Effects with row mean zero."""
    difference: Array = values - values.mean(axis=1, keepdims=True)
    return difference


def deviations(rng: Rng, rounds: int, expected: Array) -> Array:
    """Random halves of the domains up and the rest down by half their share, and the opposite."""
    domains, pairs = len(expected), []
    for _ in range((rounds + 1) // 2):
        shares = expected * (1 + 0.5 * np.sign(rng.permutation(domains) - domains // 2 + 0.5))
        pairs += [shares / shares.sum() - expected, expected - shares / shares.sum()]
    return np.array(pairs[:rounds])


def moments_of(v: Array, u: Array, weight: Array | float = 1.0) -> EffectMoments:
    """The moments by their definition, all rounds at once; NaN outcomes not measured."""
    weight = np.broadcast_to(weight, len(v))
    measured, known = np.isfinite(u), np.nan_to_num(u)
    return EffectMoments(
        weight=float(weight.sum()),
        design=v.T @ (weight[:, None] * v),
        design_squared=v.T @ (weight[:, None] ** 2 * v),
        cross=known.T @ (weight[:, None] * v),
        outcome=weight @ known**2,
        rounds=weight @ measured,
    )


def absorbed(v: Array, u: Array, **settings: float) -> EffectMoments:
    moments = no_moments(u.shape[1], v.shape[1])
    for each, outcome in zip(v, u, strict=True):
        moments = absorb(moments, each, outcome, **settings)
    return moments


def fading(discount: float, rounds: int) -> Array:
    """Weights of discounted rounds, oldest first."""
    return discount ** np.arange(rounds - 1, -1, -1)


def world(seed: int, domains: int = 5, outcomes: int = 3) -> tuple[Rng, Array, Array]:
    """A generator, expected shares that differ by far, and effects."""
    rng = np.random.default_rng(seed)
    expected = 1 / np.arange(1, domains + 1) ** 2
    return rng, expected / expected.sum(), rng.normal(size=(outcomes, domains))


def close(found: Effects, other: Effects, tolerance: float = 1e-10) -> None:
    np.testing.assert_allclose(found.value, other.value, rtol=tolerance, atol=tolerance)
    np.testing.assert_allclose(
        found.standard_error, other.standard_error, rtol=tolerance, atol=tolerance
    )


def test_planted_effects_are_found_up_to_a_constant_per_row() -> None:
    rng, expected, truth = world(0)
    v = deviations(rng, 40, expected)
    found = effects(moments_of(v, v @ truth.T))
    np.testing.assert_allclose(found.value, centred(truth), atol=1e-9)
    np.testing.assert_allclose(found.value.mean(axis=1), 0, atol=1e-12)
    assert found.standard_error.max() < 1e-5
    shifted = effects(moments_of(v, v @ (truth + np.array([[3.0], [0.0], [-8.0]])).T))
    np.testing.assert_allclose(shifted.value, found.value, atol=1e-9)


def test_shares_of_very_different_sizes_are_all_identified() -> None:
    rng, _, truth = world(0, domains=6)
    expected = np.array([0.9, 0.09, 9e-3, 9e-4, 9e-5, 1e-5])
    v = deviations(rng, 60, expected / expected.sum())
    found = effects(moments_of(v, v @ truth.T))
    assert np.isfinite(found.standard_error).all()
    np.testing.assert_allclose(found.value, centred(truth), atol=1e-6)


def test_constant_in_paired_rounds_changes_nothing() -> None:
    rng, expected, truth = world(1)
    v = deviations(rng, 40, expected)
    u = v @ truth.T + 0.1 * rng.normal(size=(40, 3))
    found, shifted = effects(moments_of(v, u)), effects(moments_of(v, u + 5.0))
    np.testing.assert_allclose(shifted.value, found.value, atol=1e-10)


def test_equals_weighted_least_squares() -> None:
    """Value and error beside those of an explicit regression with known weights."""
    rng, expected, truth = world(2)
    v, weight = deviations(rng, 30, expected), rng.uniform(0.2, 2, 30)
    u = v @ truth.T + 0.1 * rng.normal(size=(30, 3))
    found = effects(moments_of(v, u, weight))
    root = np.sqrt(weight)[:, None]
    estimate = np.linalg.lstsq(root * v, root * u, rcond=None)[0].T
    np.testing.assert_allclose(found.value, centred(estimate), atol=1e-9)
    inverse = np.linalg.pinv(v.T @ (weight[:, None] * v))
    contrast = np.eye(5) - 1 / 5
    middle = v.T @ (weight[:, None] ** 2 * v)
    shape = np.diag(contrast @ inverse @ middle @ inverse @ contrast)
    residual = weight @ (u - v @ estimate.T) ** 2
    variance = residual / (weight.sum() - np.trace(inverse @ middle))
    np.testing.assert_allclose(found.standard_error**2, np.outer(variance, shape), rtol=1e-9)


@pytest.mark.parametrize("discount", [1.0, 0.97])
@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("noise", [0.05, 0.5])
def test_intervals_cover(noise: float, missing: float, discount: float) -> None:
    covered: list[Any] = []
    for seed in range(150):
        rng, expected, truth = world(seed)
        v = deviations(rng, 100, expected)
        u = v @ truth.T + noise * rng.normal(size=(100, 3))
        u[rng.random(u.shape) < missing] = np.nan
        found = effects(moments_of(v, u, fading(discount, 100)))
        covered.append(np.abs(found.value - centred(truth)) < 1.96 * found.standard_error)
    assert 0.90 < np.mean(covered) < 0.98


def test_sites_add_up_to_the_pooled_rounds() -> None:
    rng, expected, truth = world(3)
    v = deviations(rng, 60, expected)
    u = v @ truth.T + 0.1 * rng.normal(size=(60, 3))
    u[rng.random(u.shape) < 0.1] = np.nan
    pooled = moments_of(v, u)
    merged = merge(
        merge(absorbed(v[:13], u[:13]), absorbed(v[13:20], u[13:20])), absorbed(v[20:], u[20:])
    )
    for moments in (merged, absorbed(v, u)):
        for field, whole in zip(moments, pooled, strict=True):
            np.testing.assert_allclose(field, whole, rtol=1e-10, atol=1e-12)
        close(effects(moments), effects(pooled))


def test_site_weights_are_weights_of_rounds() -> None:
    rng, expected, truth = world(3)
    v = deviations(rng, 60, expected)
    u = v @ truth.T + 0.1 * rng.normal(size=(60, 3))
    merged = merge(moments_of(v[:20], u[:20]), moments_of(v[20:], u[20:]), weights=(2.0, 0.5))
    close(effects(merged), effects(moments_of(v, u, np.repeat([2.0, 0.5], [20, 40]))))


def test_discount_is_a_weight_that_fades() -> None:
    rng, expected, truth = world(4)
    v = deviations(rng, 40, expected)
    u = v @ truth.T + 0.1 * rng.normal(size=(40, 3))
    discounted = effects(absorbed(v, u, discount=0.9))
    close(discounted, effects(moments_of(v, u, fading(0.9, 40))))
    assert (discounted.standard_error > effects(moments_of(v, u)).standard_error).all()


def test_discount_follows_effects_that_change() -> None:
    rng, expected, before = world(5)
    after, v = rng.normal(size=before.shape), deviations(rng, 200, expected)
    u = np.concatenate([v[:100] @ before.T, v[100:] @ after.T])
    np.testing.assert_allclose(
        effects(absorbed(v, u, discount=0.8)).value, centred(after), atol=1e-3
    )


@pytest.mark.parametrize("fault", [np.nan, np.inf, -np.inf, 1e308])
def test_unmeasured_outcome_leaves_its_row_untouched(fault: float) -> None:
    rng, expected, truth = world(6)
    v = deviations(rng, 41, expected)
    u = v @ truth.T + 0.1 * rng.normal(size=(41, 3))
    before = moments_of(v[:40], u[:40])
    spoilt = absorb(before, v[40], np.array([u[40, 0], fault, u[40, 2]]))
    whole = absorb(before, v[40], u[40])
    for field in ("cross", "outcome", "rounds"):
        np.testing.assert_array_equal(getattr(spoilt, field)[1], getattr(before, field)[1])
    for row in (0, 2):  # The other rows do not even notice.
        for found, other in zip(effects(spoilt), effects(whole), strict=True):
            np.testing.assert_array_equal(found[row], other[row])


def test_effects_of_a_row_often_missing_are_not_smaller() -> None:
    missing = 0.5
    found: list[Any] = []
    for seed in range(100):
        rng, expected, truth = world(7)
        rng = np.random.default_rng(seed)
        v = deviations(rng, 100, expected)
        u = v @ truth.T
        u[rng.random(u.shape) < missing] = np.nan
        found.append(effects(moments_of(v, u)).value)
    error = np.std(found, axis=0) / np.sqrt(len(found))
    assert (np.abs(np.mean(found, axis=0) - centred(truth)) < 3.5 * error + 0.01).all()


def test_row_never_measured_has_the_model_and_no_certainty() -> None:
    rng, expected, truth = world(8)
    v = deviations(rng, 40, expected)
    u = v @ truth.T
    u[:, 1] = np.nan
    found = effects(moments_of(v, u), model=truth + 1)
    np.testing.assert_allclose(found.value, centred(truth), atol=1e-9)
    assert np.isinf(found.standard_error[1]).all()
    assert np.isfinite(found.standard_error[[0, 2]]).all()


@pytest.mark.parametrize("ridge", [0.0, 0.1])
def test_what_never_varied_is_not_identified(ridge: float) -> None:
    """A column that never varied, two that only varied together, two that varied alone.

    With a ridge the two have the error of the model that tells them apart.
    """
    rng, _, truth = world(9)
    free = rng.normal(size=(40, 3))
    free -= free.mean(axis=1, keepdims=True)
    v = np.column_stack([np.zeros(40), free[:, 0] / 2, free[:, 0] / 2, free[:, 1:]])
    u = v @ truth.T + 0.1 * rng.normal(size=(40, 3))
    found = effects(moments_of(v, u), ridge=ridge)
    untold = 1 if ridge else 3
    assert np.isinf(found.standard_error[:, :untold]).all()
    assert np.isfinite(found.standard_error[:, untold:]).all()
    np.testing.assert_allclose(found.value[:, 1:].mean(axis=1), 0, atol=1e-12)


def test_model_speaks_where_nothing_varied() -> None:
    rng, expected, truth = world(10)
    v = np.column_stack([deviations(rng, 40, expected), np.zeros(40)])
    truth = np.column_stack([truth, rng.normal(size=3)])
    model = truth + np.array([*(0.1 * rng.normal(size=5)), 0.0])
    found = effects(moments_of(v, v @ truth.T), model)
    level = model[:, 5] - model[:, :5].mean(axis=1)
    np.testing.assert_allclose(found.value[:, 5], level, atol=1e-9)
    np.testing.assert_allclose(found.value[:, :5], centred(truth[:, :5]), atol=1e-9)


@pytest.mark.parametrize("rounds", [0, 1, 2, 4])
def test_too_few_rounds_tell_nothing(rounds: int) -> None:
    rng, _, truth = world(11)
    v = rng.dirichlet(np.ones(5), rounds) - 0.2
    found = effects(moments_of(v, v @ truth.T), model=truth)
    assert np.isinf(found.standard_error).all()
    np.testing.assert_allclose(found.value, centred(truth), atol=1e-9)


def test_one_domain_has_no_effect_to_compare() -> None:
    moments = moments_of(np.zeros((3, 1)), np.ones((3, 2)))
    found = effects(moments)
    np.testing.assert_array_equal(found.value, 0)
    assert np.isinf(found.standard_error).all()


def test_ridge_moves_from_the_rounds_to_the_model() -> None:
    rng, expected, truth = world(12)
    v = deviations(rng, 60, expected)
    moments = moments_of(v, v @ truth.T + 0.1 * rng.normal(size=(60, 3)))
    model = rng.normal(size=truth.shape)
    fits = [effects(moments, model, ridge) for ridge in (0.0, 1e-9, 1.0, 1e9)]
    np.testing.assert_allclose(fits[1].value, fits[0].value, atol=1e-4)
    np.testing.assert_allclose(fits[3].value, centred(model), atol=1e-6)
    distance = [np.abs(fit.value - centred(model)).sum() for fit in fits]
    assert distance[0] > distance[2] > distance[3]
    inverse = np.linalg.inv(moments.design + np.eye(5))
    expected_value = model + (moments.cross - model @ moments.design) @ inverse
    np.testing.assert_allclose(fits[2].value, centred(expected_value), atol=1e-10)


@pytest.mark.parametrize("ridge", [0.02, 0.2])
def test_intervals_cover_with_a_model_as_good_as_the_ridge_says(ridge: float) -> None:
    covered: list[Any] = []
    for seed in range(200):
        rng, expected, model = world(seed)
        truth = model + 0.1 / np.sqrt(ridge) * rng.normal(size=model.shape)
        v = deviations(rng, 60, expected)
        found = effects(moments_of(v, v @ truth.T + 0.1 * rng.normal(size=(60, 3))), model, ridge)
        covered.append(np.abs(found.value - centred(truth)) < 1.96 * found.standard_error)
    assert 0.92 < np.mean(covered) < 0.98


def test_ridge_by_column_is_trusted_where_it_is_large() -> None:
    rng, expected, truth = world(12)
    v = deviations(rng, 60, expected)
    moments, ridge = moments_of(v, v @ truth.T), np.array([0, 0, 0, 1e9, 1e9])
    model = truth + np.array([0, 0, 0, 1.0, 3.0])
    found = effects(moments, model, ridge).value
    np.testing.assert_allclose(found[:, 4] - found[:, 3], (model[:, 4] - model[:, 3]), atol=1e-6)
    even = effects(moments, model, np.full(5, 0.1))
    close(even, effects(moments, model, 0.1))


def test_effects_relative_to_a_reference_mixture() -> None:
    rng, expected, truth = world(15)
    v = deviations(rng, 40, expected)
    moments = moments_of(v, v @ truth.T + 0.1 * rng.normal(size=(40, 3)))
    found, plain = effects(moments, reference=expected), effects(moments)
    np.testing.assert_allclose(found.value @ expected, 0, atol=1e-10)
    np.testing.assert_allclose(centred(found.value), plain.value, atol=1e-10)
    only = effects(moments, reference=np.eye(5)[2])
    np.testing.assert_allclose(only.standard_error[:, 2], 0, atol=1e-9)
    assert (np.delete(only.standard_error, 2, axis=1) > 0).all()


def test_what_was_discounted_away_tells_nothing() -> None:
    rng, expected, truth = world(16)
    v = deviations(rng, 40, expected)
    moments = moments_of(v, v @ truth.T + 0.1 * rng.normal(size=(40, 3)))
    for factor in (1e-60, 1e-90):  # Old, but nothing newer.
        faded = merge(moments, moments, weights=(factor, 0.0))
        close(effects(faded), effects(moments), 1e-6)
    for factor in (1e-150, 1e-310, 0.0):
        faded = merge(moments, moments, weights=(factor, 0.0))
        found = effects(faded, truth, 0.1)
        np.testing.assert_allclose(found.value, centred(truth), atol=1e-9)
        assert np.isinf(found.standard_error).all()


def test_row_measured_once_long_ago_tells_nothing() -> None:
    rng, expected, truth = world(17)
    v = deviations(rng, 400, expected)
    u = v @ truth.T + 0.1 * rng.normal(size=(400, 3))
    u[40:, 1] = np.nan
    found = effects(moments_of(v, u, fading(0.5, 400)), truth)
    np.testing.assert_allclose(found.value[1], centred(truth)[1])
    assert np.isinf(found.standard_error[1]).all()


def test_order_of_domains_and_outcomes_does_not_matter() -> None:
    rng, expected, truth = world(13)
    v = deviations(rng, 40, expected)
    u, model = v @ truth.T + 0.1 * rng.normal(size=(40, 3)), rng.normal(size=(3, 5))
    columns, rows = rng.permutation(5), rng.permutation(3)
    found = effects(moments_of(v, u), model, 0.01)
    moved = effects(moments_of(v[:, columns], u[:, rows]), model[rows][:, columns], 0.01)
    close(moved, Effects(*(part[rows][:, columns] for part in found)), 1e-8)


def test_moments_keep_their_form_and_their_past() -> None:
    rng, expected, truth = world(14)
    v = deviations(rng, 2, expected)
    start = no_moments(3, 5)
    first = absorb(start, v[0], truth @ v[0], discount=0.9)
    assert start.design.max() == start.weight == 0
    for moments in (first, merge(first, first)):
        assert type(moments.weight) is float
        for field, other in zip(moments[1:], start[1:], strict=True):
            assert np.asarray(field).shape == np.asarray(other).shape
            assert np.asarray(field).dtype == np.float64


def test_settings_are_refused() -> None:
    with pytest.raises(ValueError, match=r"ridge must be in \[0, inf\), got \[-1.0, -1.0, -1.0\]"):
        effects(no_moments(2, 3), ridge=-1.0)
    with pytest.raises(ValueError, match=r"reference must be a mixture of shape \(3,\), got"):
        effects(no_moments(2, 3), reference=np.array([-1.0, 1.0, 1.0]))
    with pytest.raises(ValueError, match=r"model must have shape \(2, 3\), got \(3,\)"):
        effects(no_moments(2, 3), model=np.zeros(3))
