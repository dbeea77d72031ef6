"""The statistics behind the bandit: discounted moments, shrinkage, drift."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.discounted import Moments, absorb, no_moments, summarise
from policies.drift import drift
from policies.evidence import shrunken_scores
from policies.signals import Array


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 2), st.floats(-1e3, 1e3)), max_size=5), max_size=6),
    st.floats(0.1, 1),
)
def test_moments_agree_with_weighted_sums(
    batches: list[list[tuple[int, float]]], gamma: float
) -> None:
    moments = no_moments(3)
    for batch in batches:
        domain = np.array([row[0] for row in batch], dtype=np.int64)
        moments = absorb(moments, summarise(domain, np.array([row[1] for row in batch]), 3), gamma)
    for index in range(3):
        rows = [
            (gamma ** (len(batches) - 1 - age), value)
            for age, batch in enumerate(batches)
            for domain, value in batch
            if domain == index
        ]
        weight, value = (np.array([row[part] for row in rows]) for part in (0, 1))
        assert moments.number[index] == pytest.approx(weight.sum())
        assert moments.square_number[index] == pytest.approx((weight**2).sum())
        if rows:
            mean = (weight @ value) / weight.sum()
            assert moments.mean[index] == pytest.approx(mean, abs=1e-9)
            scatter = weight @ (value - mean) ** 2
            assert moments.scatter[index] == pytest.approx(scatter, abs=1e-6)


def moments_of(values: Array) -> Moments:
    """Moments of the rows' values, shape (k, n), all heard in one batch."""
    domain = np.repeat(np.arange(len(values)), values.shape[1])
    return absorb(no_moments(len(values)), summarise(domain, values.ravel(), len(values)), 0.9)


def test_equal_counts_give_the_textbook_shrinkage() -> None:
    values = np.random.default_rng(0).normal(np.linspace(0, 1, 12)[:, None], 1.0, (12, 20))
    means = values.mean(axis=1)
    squared_error = values.var(axis=1, ddof=1).mean() / 20
    shrinkage = 1 - squared_error / means.var(ddof=1)
    assert 0.3 < shrinkage < 0.95
    scores = shrunken_scores(means, moments_of(values))
    assert scores.strength == pytest.approx(shrinkage)
    expected = shrinkage * (means - means.mean()) / means.std(ddof=1)
    np.testing.assert_allclose(scores.score, expected)


@pytest.mark.parametrize("spread", [0.0, 0.2])
def test_domains_are_believed_by_their_evidence(spread: float) -> None:
    """Domains differ with the given standard deviation, values by 1; counts are very uneven."""
    generator = np.random.default_rng(1)
    number = np.array([5, 10, 20, 50, 100, 200, 400, 800] * 5)
    domain = np.repeat(np.arange(len(number)), number)
    strengths, gains = [], []
    for _ in range(100):
        truth = generator.normal(0, spread, len(number))
        moments = absorb(
            no_moments(40), summarise(domain, generator.normal(truth[domain], 1.0), 40), 0.9
        )
        scores = shrunken_scores(moments.mean, moments)
        strengths.append(scores.strength)
        if spread:
            found = np.corrcoef([scores.score, moments.mean, truth])[:, 2]
            gains.append(found[0] - found[1])
    if spread:
        assert np.mean(strengths) > 0.5
        assert np.mean(gains) > 0.05, "scores must rank the domains better than raw means do"
    else:
        assert np.mean(strengths) < 0.1


def test_few_values_say_less_than_many() -> None:
    generator = np.random.default_rng(2)
    number = np.array([400, 400, 400, 3])
    domain = np.repeat(np.arange(4), number)
    values = generator.normal(np.array([0.0, 0.5, 1.0, 1.0])[domain], 1.0)
    moments = absorb(no_moments(4), summarise(domain, values, 4), 0.9)
    moments = moments._replace(mean=np.array([0.0, 0.5, 1.0, 1.0]))
    score = shrunken_scores(moments.mean, moments).score
    assert 0 < score[3] < 0.6 * score[2]


def test_unseen_domains_score_zero_even_without_noise() -> None:
    moments = Moments(*np.array([[2.0, 2, 0], [2, 2, 0], [1, 2, 0], [0, 0, 0]]))
    score = shrunken_scores(moments.mean, moments).score
    assert score[2] == 0
    assert score[0] < 0 < score[1]


def test_drift_is_what_grows_with_time_and_no_more() -> None:
    elapsed, number = np.array([10.0, 50.0, 90.0]), np.array([30.0, 20.0, 10.0])
    everything = drift(0.01 * elapsed, elapsed, number)
    np.testing.assert_allclose(np.diff(everything), 0.4)
    np.testing.assert_allclose(drift(-0.01 * elapsed, elapsed, number), -everything)
    # Rewards that shrink as time passes, or grow faster than it, are the domains' own doing.
    np.testing.assert_array_equal(drift(1 - 0.01 * elapsed, elapsed, number), np.zeros(3))
    steep = np.array([0.0, 0.0, 5.0])
    rate = (number @ steep) / (number @ elapsed)
    np.testing.assert_allclose(np.diff(drift(steep, elapsed, number)), 40 * rate)
    np.testing.assert_array_equal(drift(steep, np.full(3, 7.0), number), np.zeros(3))
