from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from golden import golden, numbers

from policies.estimators.logged import LoggedRounds
from policies.estimators.tuning import LimitedRule, best_limit, mse_score
from policies.estimators.values import doubly_robust, ips, shrinkage_dr, switch_dr

LIMITS = [1.0, 3.0, 10.0, 1e6]


def rounds_of(seed: int, number: int = 100, noise: float = 1.0) -> LoggedRounds:
    """Rounds whose best domain is drawn rarely and whose model knows the rest."""
    rng = np.random.default_rng(seed)
    logging = np.array([0.7, 0.28, 0.02])
    actions = rng.choice(3, size=number, p=logging)
    return LoggedRounds(
        actions=actions,
        rewards=np.array([0.0, 1.0, 4.0])[actions] + noise * rng.normal(size=number),
        propensity=logging[actions],
        target=np.array([0.1, 0.3, 0.6]),
        model=np.array([0.0, 1.0, 2.0]),
    )


@golden("obp__*")
def test_recorded_scores(recording: dict[str, Any]) -> None:
    constants = recording["hyperparameters"]
    for step in recording["steps"]:
        inputs, expected = step["inputs"], step["state"]["mse_score"]
        rounds = LoggedRounds(
            actions=np.array(inputs["actions"]),
            rewards=numbers(inputs["rewards"]),
            propensity=numbers(inputs["logging_probability"]),
            target=numbers(inputs["target_probabilities"]),
            model=numbers(inputs["reward_model"]),
        )
        limit, delta = constants["lambda"], constants["delta"]
        found = {
            "ips_clipped": mse_score(rounds, "ips", limit),
            "ips_clipped_bound": mse_score(rounds, "ips", limit, delta=delta),
            "doubly_robust_clipped_bound": mse_score(rounds, "doubly_robust", limit, delta=delta),
        }
        assert found.keys() == expected.keys()
        for name, score in found.items():
            np.testing.assert_allclose(score, expected[name], atol=1e-9, rtol=0, err_msg=name)


@pytest.mark.parametrize("rule", get_args(LimitedRule))
def test_score_of_unlimited_weights_is_the_variance(rule: LimitedRule) -> None:
    rounds = rounds_of(0)
    estimate = ips(rounds) if rule == "ips" else doubly_robust(rounds)
    variance = estimate.standard_error**2 * 99 / 100
    assert mse_score(rounds, rule, np.inf) == pytest.approx(variance)


def test_scores_are_those_of_their_own_estimators() -> None:
    """The variance of switched and shrunken terms, the bias of what they leave out."""
    rounds = rounds_of(0)
    whole = doubly_robust(rounds).value
    for rule, estimate in (
        ("switch_dr", switch_dr(rounds, max_weight=3)),
        ("shrinkage_dr", shrinkage_dr(rounds, strength=3)),
        ("doubly_robust", doubly_robust(rounds, max_weight=3)),
    ):
        expected = estimate.standard_error**2 * 99 / 100 + (whole - estimate.value) ** 2
        assert mse_score(rounds, rule, 3) == pytest.approx(expected)  # type: ignore[arg-type]


@pytest.mark.parametrize("rule", get_args(LimitedRule))
def test_more_rounds_and_a_worse_model_allow_larger_weights(rule: LimitedRule) -> None:
    few = [best_limit(rounds_of(seed, 30, 5.0), rule, LIMITS) for seed in range(20)]
    many = [best_limit(rounds_of(seed, 20_000, 0.1), rule, LIMITS) for seed in range(5)]
    assert np.mean(few) < np.mean(many)
    assert set(many) == {1e6}


def test_right_model_needs_no_weights() -> None:
    rounds = replace(rounds_of(0), model=np.array([0.0, 1.0, 4.0]))
    assert best_limit(rounds, "doubly_robust", LIMITS) == 1.0


def test_settings_are_refused() -> None:
    rounds = rounds_of(0)
    with pytest.raises(ValueError, match=r"rule must be one of ips, .*, got 'luck'"):
        mse_score(rounds, "luck", 3.0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"delta must be in \(0, 1\), got 1"):
        mse_score(rounds, "ips", 3.0, delta=1.0)
    with pytest.raises(ValueError, match="limits must hold at least one"):
        best_limit(rounds, "ips", [])
