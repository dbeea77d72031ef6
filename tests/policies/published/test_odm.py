from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest
from golden import golden, numbers, training_feedback, uniform_task

from policies import Signal
from policies.contract import check_policy
from policies.published.odm import (
    ODM,
    ODMState,
    Variant,
    exploration_rate,
    proportional,
    ranged,
)
from policies.signals import ValidationLoss
from policies.synthetic import make_feedback, make_task

VARIANTS: tuple[Any, ...] = get_args(Variant)


def settings(recording: Any) -> dict[str, Any]:
    given = recording["hyperparameters"]
    single = "released" if given.get("group_update") else "released_single"
    variants = {"smoothed_mean": single, "naive_validation": "validation"}
    return {
        "variant": variants.get(given["method"], given["method"]),
        "smoothing": given.get("smoothing_factor") or 0.5,
        "warmup": given["warmup_steps"] / 100_000,
        "update_every": given["update_frequency"],
    }


@golden("odm__*")
def test_recorded_run(recording: Any) -> None:
    task = uniform_task(recording["k"])
    policy = ODM(**settings(recording))
    state, weights = policy.init(task), numbers(recording["initial"]["weights"])
    if policy.variant == "ema":  # Whose authors do not scale the prior to sum to one.
        state = state._replace(reward=numbers(recording["initial"]["raw_weights"]))
    for step in recording["steps"]:
        given, after = step["inputs"], step["state"]
        time = given["iteration"]
        signals = {}
        if held_out := given.get("validation_losses"):
            loss = numbers(held_out)
            signals = {Signal.VALIDATION_LOSS: ValidationLoss(loss, loss, 0 * loss)}
        domains, rewards = given.get("domains", []), given.get("rewards", [])
        feedback = training_feedback(task, time - 1, weights, domains, rewards, signals=signals)
        assert policy.decide(state, time - 1).signals == signals.keys()
        before, state = state, policy.update(state, feedback)
        if not given.get("updated", True):
            np.testing.assert_equal(state, before)
            continue
        weights = policy.decide(state, time).weights
        np.testing.assert_allclose(weights, numbers(step["weights"]), rtol=0, atol=1e-9)
        reward = next(
            after[name]
            for name in ("cumulative_estimated_reward", "estimated_reward", "raw_weights")
            if name in after
        )
        np.testing.assert_allclose(state.reward, numbers(reward), rtol=1e-12, atol=0)
        assert state.rate == pytest.approx(after.get("eps", state.rate), abs=1e-12)


@pytest.mark.parametrize("variant", VARIANTS)
def test_contract(variant: Any) -> None:
    check_policy(ODM(variant=variant, warmup=0.0), sizes=[1, 2, 13])


@pytest.mark.parametrize("variant", ["paper", "validation"])
def test_contract_after_a_warm_up_and_in_bits(variant: Any) -> None:
    policy = ODM(variant=variant, warmup=0.003, update_every=2, unit="bits_per_byte")
    check_policy(policy, sizes=[13])


def heard(policy: ODM, *losses: tuple[list[int], list[float]], start: int = 5000) -> ODMState:
    """The state of a task of three domains after batches of these domains and losses."""
    task = uniform_task(3)
    state = policy.init(task)
    for step, (domain, loss) in enumerate(losses, start):
        weights = np.array([0.5, 0.3, 0.2])
        state = policy.update(state, training_feedback(task, step, weights, domain, loss))
    return state


def test_paper_averages_importance_weighted_losses() -> None:
    state = heard(ODM(smoothing=0.9), ([0, 1], [2.0, 3.0]), ([1], [4.0]))
    first = 0.1 * 3 / 0.3
    expected = np.array([0.1 * 2 / 0.5, 0.9 * first + 0.1 * 4 / 0.3, 0.0])
    np.testing.assert_allclose(state.reward, expected)
    earlier, rate = (np.sqrt(np.log(3) / (3 * time)) for time in (5001, 5002))
    share = np.exp(earlier * expected)
    np.testing.assert_allclose(state.weights, (1 - 3 * rate) * share / share.sum() + rate)


def test_released_rule_has_neither_importance_weights_nor_exponent() -> None:
    state = heard(ODM(variant="released", smoothing=0.0), ([0, 1], [1.0, 2.0]))
    rate = np.sqrt(np.log(3) / (3 * 5001))
    share = np.exp([1.0, 2.0]) / np.exp([1.0, 2.0]).sum()
    np.testing.assert_allclose(state.weights[:2], (1 - 3 * rate) * share + rate)
    assert state.weights[2] == pytest.approx(rate)  # Not seen, it has the exploration share alone.


def test_released_rule_for_single_domains_takes_perplexities_for_exponents() -> None:
    policy = ODM(variant="released_single", smoothing=0.5)
    state = heard(policy, ([0, 1], [1.0, 2.0]), ([0], [2.0]))
    reward = np.array([np.exp(1.0) / 4 + np.exp(2.0) / 2, np.exp(2.0) / 2, 0.0])
    np.testing.assert_allclose(state.reward, reward)
    earlier, rate = (np.sqrt(np.log(3) / (3 * time)) for time in (5001, 5002))
    share = np.exp(earlier * reward)
    np.testing.assert_allclose(state.weights, (1 - 3 * rate) * share / share.sum() + rate)


def test_ema_averages_losses_and_shares_in_one_variable() -> None:
    state = heard(ODM(variant="ema", warmup=0.0), ([0, 1], [2.0, 3.0]), ([1], [1.0]), start=2)
    reward = np.array([0.5 / 3 + 0.5 * 2, 0.6 * (0.5 / 3 + 0.5 * 3) + 0.4 * 1, 1 / 3])
    np.testing.assert_allclose(state.reward, reward)
    np.testing.assert_allclose(state.weights, reward / reward.sum())
    nothing = heard(ODM(variant="ema", warmup=0.0), ([0, 1, 2], [0.0, 0.0, 0.0]), start=0)
    np.testing.assert_array_equal(nothing.weights, np.full(3, 1 / 3))


def test_held_out_losses_are_asked_for_before_a_change_only() -> None:
    task, policy = make_task(3), ODM(variant="validation", warmup=0.004, update_every=3)
    asked = [step for step in range(12) if policy.decide(policy.init(task), step).signals]
    assert asked == [5, 8, 11]
    assert not ODM().signals


def test_losses_are_ranged_between_the_lowest_and_the_highest() -> None:
    np.testing.assert_allclose(ranged(np.array([2.0, np.nan, 5.0, 3.0])), [0, np.nan, 1, 1 / 3])
    np.testing.assert_array_equal(ranged(np.array([2.0, 2.0, np.nan])), [0, 0, np.nan])
    np.testing.assert_array_equal(ranged(np.full(2, np.nan)), np.full(2, np.nan))


def test_exploration_rate() -> None:
    assert exploration_rate(22, 68) == 1 / 22 > exploration_rate(22, 69)
    mass = [22 * exploration_rate(22, time) for time in (2_000, 10_000, 100_000)]
    np.testing.assert_allclose(mass, [0.18, 0.08, 0.026], atol=0.005)
    assert exploration_rate(1, 1) == 0


def test_warm_up_is_a_part_of_the_run_and_teaches_nothing() -> None:
    task, policy = make_task(5), ODM(warmup=0.004)
    state = policy.init(task)
    for step in range(4):
        state = policy.update(state, make_feedback(task, task.prior, step))
    np.testing.assert_equal(state, policy.init(task))
    state = policy.update(state, make_feedback(task, task.prior, 400))
    assert state.reward.any()


def test_an_uneven_prior_is_explored_and_tilted() -> None:
    task, policy = make_task(3), ODM(warmup=0.0)
    feedback = training_feedback(task, 5000, task.prior, [0, 1, 2], [1.0, 2.0, 3.0])
    state = policy.update(policy.init(task), feedback)
    rate = np.sqrt(np.log(3) / (3 * 5001))
    share = task.prior * np.exp(state.reward / 3)
    expected = (1 - 3 * rate) * share / share.sum() + 3 * rate * task.prior
    np.testing.assert_allclose(state.weights, expected)


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_domain_without_a_prior_stays_at_zero(variant: Any) -> None:
    task, policy = uniform_task(3), ODM(variant=variant, warmup=0.0)
    task = replace(task, prior=np.array([0.0, 0.4, 0.6]))
    loss = np.array([1.0, 2.0, 3.0])
    signals = {Signal.VALIDATION_LOSS: ValidationLoss(loss, loss, 0 * loss)}
    feedback = training_feedback(task, 5000, task.prior, [0, 1, 2], [3, 2, 1], signals=signals)
    assert policy.update(policy.init(task), feedback).weights[0] == 0


@pytest.mark.parametrize("variant", ["paper", "exp3", "released", "released_single", "ema"])
def test_faulty_losses_count_for_nothing(variant: Any) -> None:
    policy = ODM(variant=variant)
    faults = [np.nan, np.inf, 1e308, 101.0, -1.0]
    spoilt = heard(policy, ([0, 0, 0, 0, 0, 0, 1], [*faults, 2.0, 3.0]))
    np.testing.assert_equal(spoilt, heard(policy, ([0, 1], [2.0, 3.0])))
    unknown = heard(policy, ([0], [1e308]))
    np.testing.assert_allclose(unknown.weights, np.full(3, 1 / 3))


def test_rewards_that_grow_for_ever_do_not_overflow() -> None:
    task, policy = uniform_task(2), ODM(variant="exp3", warmup=0.0)
    state = policy.init(task)._replace(reward=np.array([1e12, 1e12 - 1]), rate=0.4)
    feedback = training_feedback(task, 10, np.array([0.0, 1.0]), [0, 1], [100.0, 100.0])
    assert np.isfinite(policy.update(state, feedback).weights).all()
    np.testing.assert_array_equal(proportional(np.zeros(2), np.ones(2) / 2), np.ones(2) / 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"variant": "best"}, "variant must be one of paper, exp3, .*, validation, got 'best'"),
        ({"smoothing": 1.0}, r"smoothing must be in \[0, 1\), got 1.0"),
        ({"warmup": 2000}, r"warmup must be a part of the run in \[0, 1\], got 2000"),
        ({"warmup": np.nan}, r"warmup must be a part of the run in \[0, 1\], got nan"),
        ({"update_every": 0}, "update_every must be at least 1 step, got 0"),
        ({"unit": "bits"}, "unit must be 'nats_per_token' or 'bits_per_byte', got 'bits'"),
    ],
)
def test_odm_refuses(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ODM(**given)
