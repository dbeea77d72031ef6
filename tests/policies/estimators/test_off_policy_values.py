from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from golden import golden, numbers

from policies.estimators.logged import Estimate, LoggedRounds
from policies.estimators.values import (
    direct_method,
    doubly_robust,
    ips,
    replay,
    self_normalised_dr,
    self_normalised_ips,
    shrinkage_dr,
    switch_dr,
)
from policies.signals import Array

Estimator = Callable[[LoggedRounds], Estimate]


LOGGING = np.array([0.6, 0.2, 0.15, 0.05])
TARGET = np.array([0.1, 0.2, 0.3, 0.4])
REWARD = np.array([1.0, 2.0, 0.5, 3.0])
TRUTH = float(TARGET @ REWARD)


def estimators(limit: float) -> dict[str, Estimator]:
    """All of them by their recorded names, at a limit on weights where they have one."""
    return {
        "direct_method": direct_method,
        "ips": ips,
        "ips_clipped": lambda rounds: ips(rounds, max_weight=limit),
        "snips": self_normalised_ips,
        "doubly_robust": doubly_robust,
        "doubly_robust_clipped": lambda rounds: doubly_robust(rounds, max_weight=limit),
        "self_normalised_dr": self_normalised_dr,
        "switch_dr": lambda rounds: switch_dr(rounds, max_weight=limit),
        "shrinkage_dr": lambda rounds: shrinkage_dr(rounds, strength=limit),
        "replay": replay,
    }


def recorded_rounds(inputs: dict[str, Any]) -> LoggedRounds:
    return LoggedRounds(
        actions=np.array(inputs["actions"]),
        rewards=numbers(inputs["rewards"]),
        propensity=numbers(inputs["logging_probability"]),
        target=numbers(inputs["target_probabilities"]),
        model=numbers(inputs["reward_model"]),
    )


def drawn(seed: int, model: Array, logging: Array = LOGGING, number: int = 200) -> LoggedRounds:
    """Rounds drawn at ``LOGGING``, whatever ``logging`` claims."""
    rng = np.random.default_rng(seed)
    actions = rng.choice(4, size=number, p=LOGGING)
    return LoggedRounds(
        actions=actions,
        rewards=REWARD[actions] + rng.normal(size=number),
        propensity=logging[actions],
        target=TARGET,
        model=model,
    )


def estimates(estimator: Estimator, **settings: Any) -> tuple[Array, Array]:
    """Values and standard errors of many repetitions."""
    found = [estimator(drawn(seed, **settings)) for seed in range(300)]
    return np.array([each.value for each in found]), np.array(
        [each.standard_error for each in found]
    )


def bias(estimator: Estimator, **settings: Any) -> float:
    """Bias in standard errors of the mean over repetitions."""
    values, _ = estimates(estimator, **settings)
    return float((values.mean() - TRUTH) / (values.std() / np.sqrt(len(values))))


@golden("obp__*")
def test_recorded_values(recording: dict[str, Any]) -> None:
    limit = recording["hyperparameters"]["lambda"]
    for step in recording["steps"]:
        rounds, expected = recorded_rounds(step["inputs"]), step["state"]["estimates"]
        for name, estimator in estimators(limit).items():
            wanted = float(expected[name])
            if name == "replay" and not rounds.matched.any():
                assert wanted == 0
                wanted = np.nan  # What does not exist is not zero.
            value = estimator(rounds).value
            np.testing.assert_allclose(value, wanted, atol=1e-9, rtol=0, err_msg=name)


@golden("obp__*")
def test_recorded_terms(recording: dict[str, Any]) -> None:
    for step in recording["steps"]:
        rounds, terms = recorded_rounds(step["inputs"]), step["state"]["per_round"]
        for name in ("ips", "doubly_robust"):
            each = numbers(terms[name])
            error = each.std(ddof=1) / np.sqrt(len(each))
            assert estimators(1)[name](rounds).standard_error == pytest.approx(error, abs=1e-9)


@pytest.mark.parametrize("estimator", [doubly_robust, self_normalised_dr])
def test_right_model_is_enough(estimator: Estimator) -> None:
    wrong = np.full(4, 0.25)
    assert abs(bias(estimator, model=REWARD, logging=wrong)) < 3
    assert abs(bias(ips, model=REWARD, logging=wrong)) > 10


@pytest.mark.parametrize("estimator", [doubly_robust, ips])
def test_right_propensities_are_enough(estimator: Estimator) -> None:
    wrong = np.array([2.0, 0.0, 1.0, 1.0])
    assert abs(bias(estimator, model=wrong)) < 3
    assert abs(direct_method(drawn(0, wrong)).value - TRUTH) > 0.5


def test_limits_on_weights_are_biased_toward_the_model() -> None:
    wrong = np.zeros(4)
    for name in ("ips_clipped", "doubly_robust_clipped", "switch_dr", "shrinkage_dr"):
        assert bias(estimators(3)[name], model=wrong) < -10
        assert abs(bias(estimators(3)[name], model=REWARD)) < 3 or name == "ips_clipped"


@pytest.mark.parametrize("estimator", [ips, self_normalised_ips, doubly_robust, self_normalised_dr])
def test_intervals_cover(estimator: Estimator) -> None:
    values, errors = estimates(estimator, model=np.array([1.2, 1.5, 1.0, 2.0]), number=600)
    assert 0.90 < (np.abs(values - TRUTH) < 1.96 * errors).mean() < 0.98


def test_standard_error_of_a_self_normalised_mean_is_scale_free() -> None:
    """Were it that of the unnormalised terms, a constant reward would seem to vary."""
    rounds = drawn(0, np.zeros(4))
    constant = replace(rounds, rewards=np.full(200, 7.0))
    assert self_normalised_ips(constant) == pytest.approx((7.0, 0.0), abs=1e-12)
    assert ips(constant).standard_error > 0.1


def test_no_overlap_leaves_what_the_model_says() -> None:
    rounds = replace(drawn(0, REWARD), target=np.array([0.0, 0.0, 0.0, 1.0]))
    keep = rounds.actions < 3
    rounds = replace(
        rounds,
        actions=rounds.actions[keep],
        rewards=rounds.rewards[keep],
        propensity=rounds.propensity[keep],
    )
    assert ips(rounds).value == 0
    assert doubly_robust(rounds) == direct_method(rounds)
    assert direct_method(rounds).value == pytest.approx(3)
    for estimator in (self_normalised_ips, self_normalised_dr, replay):
        assert np.isnan(estimator(rounds)).all()


def test_one_round_has_no_standard_error() -> None:
    rounds = drawn(0, REWARD, number=1)
    assert np.isfinite(ips(rounds).value)
    assert np.isnan(ips(rounds).standard_error)


@pytest.mark.parametrize("limit", [0.0, np.inf])
def test_extreme_limits(limit: float) -> None:
    rounds = drawn(0, np.array([1.2, 1.5, 1.0, 2.0]))
    expected = doubly_robust(rounds) if limit else direct_method(rounds)
    assert shrinkage_dr(rounds, strength=limit) == expected
    assert switch_dr(rounds, max_weight=limit) == expected
    assert doubly_robust(rounds, max_weight=limit) == expected


def test_switch_keeps_weights_at_the_limit() -> None:
    rounds = replace(drawn(0, REWARD), propensity=np.full(200, 0.1))
    limit = float(rounds.weight.max())
    assert switch_dr(rounds, max_weight=limit) == doubly_robust(rounds)
    assert switch_dr(rounds, max_weight=limit * (1 - 1e-12)) != doubly_robust(rounds)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"propensity": np.zeros(3)}, r"propensity must be in \(0, 1\]"),
        ({"propensity": np.full(3, np.nan)}, r"propensity must be in \(0, 1\]"),
        ({"rewards": np.array([1.0, np.nan, 0.0])}, "rewards must be finite"),
        ({"rewards": np.zeros(2)}, r"rewards must have shape \(3,\), got \(2,\)"),
        ({"model": np.zeros((2, 4))}, r"model must have shape \(3, 4\) or \(4,\), got \(2, 4\)"),
        ({"actions": np.array([0, 4, 1])}, r"actions must be in \[0, 4\)"),
        ({"actions": np.zeros(0, np.int64)}, r"actions must have shape \(n,\) with n > 0"),
    ],
)
def test_rounds_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(drawn(0, REWARD, number=3), **changes)


def test_negative_limit_is_refused() -> None:
    for name in (ips, doubly_robust, switch_dr):
        with pytest.raises(ValueError, match="must not be negative, got -1"):
            name(drawn(0, REWARD), max_weight=-1.0)
