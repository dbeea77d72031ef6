import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.resampling import RULES, initial_debt, multinomial, quota, systematic


def random_weights(generator: np.random.Generator, num_domains: int, concentration: float = 1.0):
    return generator.dirichlet(np.full(num_domains, concentration))


@given(
    num_domains=st.integers(1, 300),
    size=st.integers(1, 600),
    seed=st.integers(0, 1000),
    rule=st.sampled_from(sorted(RULES)),
)
def test_counts_are_whole_and_sum_to_the_batch(
    num_domains: int, size: int, seed: int, rule: str
) -> None:
    generator = np.random.default_rng(seed)
    weights = random_weights(generator, num_domains, 0.1)
    owed = generator.normal(size=num_domains)
    counts = RULES[rule](weights, size, owed, seed, 3)
    assert counts.dtype == np.int64
    assert counts.sum() == size
    assert counts.min() >= 0
    if rule != "multinomial":
        assert np.abs(counts - size * weights).max() < 1 + 1e-6


@pytest.mark.parametrize("rule", sorted(RULES))
@pytest.mark.parametrize("chosen", [0, 2, 4])
def test_one_hot_weights_draw_nothing_else(rule: str, chosen: int) -> None:
    weights = np.eye(5)[chosen]
    for step in range(50):
        owed = np.random.default_rng(step).normal(size=5)
        counts = RULES[rule](weights, 7, owed, 0, step)
        assert counts.tolist() == (7 * weights).tolist()


@pytest.mark.parametrize(("num_domains", "size"), [(2, 8), (13, 64), (12, 32), (200, 32)])
@pytest.mark.parametrize("change", ["walk", "jump", "constant"])
def test_quota_never_strays_over_a_thousand_steps(num_domains: int, size: int, change: str) -> None:
    generator = np.random.default_rng(0)
    weights = random_weights(generator, num_domains)
    owed = initial_debt(num_domains, 0)
    for step in range(1000):
        if change == "walk":
            weights = weights * np.exp(0.05 * generator.normal(size=num_domains))
            weights /= weights.sum()
        elif change == "jump":
            weights = random_weights(generator, num_domains, 0.3)
        counts = quota(weights, size, owed, 0, step)
        owed = owed + size * weights - counts
        assert np.abs(counts - size * weights).max() < 1 + 1e-6
        assert np.abs(owed).max() < 1


@pytest.mark.parametrize("rule", [systematic, multinomial])
def test_random_rules_are_unbiased_at_each_step(rule) -> None:
    weights = np.array([0.03, 0.5, 0.0, 0.37, 0.1])
    draws = np.array([rule(weights, 7, np.zeros(5), seed, 11) for seed in range(3000)])
    error = draws.std(axis=0) / len(draws) ** 0.5
    assert (np.abs(draws.mean(axis=0) - 7 * weights) <= 5 * error + 1e-12).all()


def test_quota_serves_equals_in_a_seeded_order() -> None:
    weights = np.full(50, 0.02)
    first = {tuple(quota(weights, 5, initial_debt(50, seed), seed, 0)) for seed in range(20)}
    assert len(first) > 15
    again = quota(weights, 5, initial_debt(50, 3), 3, 0)
    assert again.tolist() == quota(weights, 5, initial_debt(50, 3), 3, 0).tolist()


def test_rare_domains_are_served_in_time() -> None:
    weights = np.array([0.999, 0.001])
    owed = np.zeros(2)
    served = 0
    for step in range(1000):
        counts = quota(weights, 8, owed, 0, step)
        owed = owed + 8 * weights - counts
        served += counts[1]
    assert served == 8
