from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, Literal, get_args

import numpy as np
import pytest

from policies import UCB, Feedback, Task
from policies.signals import Array
from policies.synthetic import make_feedback, make_task

Reward = Literal["progress", "level", "magnitude"]
REWARDS = get_args(Reward)
PlayBandit = Callable[..., Array]
STEPS = 400


def uneven_task() -> Task:
    prior = 1 / np.arange(1, 21)
    return replace(make_task(20), prior=prior / prior.sum())


def worlds(best: Callable[[int], Array]) -> dict[str, dict[str, Callable[[int], Array]]]:
    """For each reward, what makes the best domain the best: it learns, costs or varies more."""
    return {
        "progress": {"fall": lambda step: 0.0002 + 0.0018 * best(step)},
        "level": {"level": lambda step: 2 + 0.1 * best(step)},
        "magnitude": {"noise": lambda step: 0.1 + 0.1 * best(step)},
    }


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("reward", REWARDS)
def test_best_domain_is_found_and_found_again(
    play_bandit: PlayBandit, reward: Reward, seed: int
) -> None:
    first, second = 1, 18
    world = worlds(lambda step: np.eye(20)[first if step < STEPS // 2 else second])[reward]
    path = play_bandit(UCB(reward=reward), steps=STEPS, seed=seed, **world)
    for best, last in ((first, STEPS // 2), (second, STEPS)):
        share = path[last - 50 : last].mean(axis=0)
        assert share[best] > 0.5
        assert share[best] > 5 * np.delete(share, best).max()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("reward", REWARDS)
def test_noise_alone_stays_near_the_prior(
    play_bandit: PlayBandit, reward: Reward, seed: int
) -> None:
    task = uneven_task()
    path = play_bandit(UCB(reward=reward), task=task, steps=STEPS, seed=seed)
    assert np.abs(path.mean(axis=0) / task.prior - 1).max() < 0.25
    assert 0.5 * np.abs(path - task.prior).sum(axis=1).mean() < 0.1


@pytest.mark.parametrize("reward", ["progress", "magnitude"])
def test_a_fall_common_to_all_is_no_reason_to_leave_the_prior(
    play_bandit: PlayBandit, reward: Reward
) -> None:
    task = uneven_task()
    path = play_bandit(
        UCB(reward=reward),
        task=task,
        steps=STEPS,
        level=lambda step: np.full(20, 2 + 3 / np.sqrt(1 + step / 20)),
    )
    assert 0.5 * np.abs(path - task.prior).sum(axis=1).mean() < 0.2


@pytest.mark.parametrize("reward", REWARDS)
def test_neither_unit_nor_constant_matters(reward: Reward) -> None:
    task, policy = make_task(13), UCB(reward=reward)
    level = np.linspace(1, 3, 13)
    weights = []
    for unit, constant in ((1.0, 0.0), (20.0, 0.0), (1.0, 50.0)):
        state = policy.init(task)
        for step in range(30):
            loss, noise = unit * (level + constant), unit * 0.1
            # Always the same draw: a decision that differs must not hide behind another batch.
            feedback = make_feedback(task, task.prior, step, bits_per_byte=loss, noise=noise)
            state = policy.update(state, feedback)
        weights.append(policy.decide(state, 30).weights)
    assert not np.allclose(weights[0], task.prior, rtol=0.05)
    np.testing.assert_allclose(weights[1], weights[0], rtol=1e-4)
    np.testing.assert_allclose(weights[2], weights[0], rtol=1e-4)


def test_constant_losses_are_no_evidence() -> None:
    task, policy = make_task(13), UCB(exploration=0)
    state = policy.init(task)
    for step in range(30):
        level = np.linspace(1, 3, 13)
        feedback = make_feedback(task, task.prior, step, bits_per_byte=level, noise=0.0)
        state = policy.update(state, feedback)
    np.testing.assert_allclose(policy.decide(state, 30).weights, task.prior)


@pytest.mark.parametrize("fault", [np.nan, np.inf, 1e300])
@pytest.mark.parametrize("reward", REWARDS)
def test_faulty_losses_count_for_nothing(reward: Reward, fault: float) -> None:
    """A batch with faults teaches what the batch without those sequences would."""
    task, policy = make_task(5), UCB(reward=reward)
    state = policy.init(task)
    for step in range(5):
        state = policy.update(state, make_feedback(task, task.prior, step))
    batch = make_feedback(task, task.prior, 5)
    use = np.arange(len(batch.sequence_loss)) % 3 > 0
    spoilt = policy.update(
        state, replace(batch, sequence_loss=np.where(use, batch.sequence_loss, fault))
    )
    clean = policy.update(
        state, replace(batch, sequence_bytes=np.where(use, batch.sequence_bytes, 0.0))
    )
    np.testing.assert_equal(spoilt, clean)


def test_exploration_favours_the_neglected_only() -> None:
    task = make_task(4)
    policy, state = UCB(), UCB().init(task)
    number = 100 * task.prior
    even = state._replace(reward=state.reward._replace(number=number))
    np.testing.assert_allclose(policy.diagnostics(even)["bonus"], 0, atol=1e-12)
    number = number - np.array([0.9, 0, 0, 0]) * number
    bonus: Any = policy.diagnostics(state._replace(reward=state.reward._replace(number=number)))[
        "bonus"
    ]
    assert bonus[0] > 0 > bonus[1:].max()


def test_zero_prior_stays_zero() -> None:
    task = replace(make_task(3), prior=np.array([0.0, 0.4, 0.6]))
    policy, state = UCB(), UCB().init(task)
    for step in range(5):
        state = policy.update(state, make_feedback(task, np.full(3, 1 / 3), step))
        assert policy.decide(state, step).weights[0] == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"reward": "luck"}, "reward must be 'progress', 'level' or 'magnitude', got 'luck'"),
        ({"gamma": 2.0}, r"gamma must be in \(0, 1\], got 2.0"),
        ({"gamma": np.nan}, r"gamma must be in \(0, 1\], got nan"),
        ({"exploration": -1.0}, r"exploration must be in \[0, 1e6\], got -1.0"),
        ({"temperature": 0.0}, r"temperature must be in \[1e-6, inf\), got 0.0"),
    ],
)
def test_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        UCB(**settings)


def test_baseline_ages_with_the_domains_own_sequences() -> None:
    """Sixteen sequences of a domain forget as much in one batch as in sixteen."""
    task, policy = make_task(4), UCB(gamma=0.9)

    def batch(step: int, number: int) -> Feedback:
        one = make_feedback(task, np.eye(4)[0], step, noise=0.0)
        keep = np.arange(len(one.sequence_loss)) < number
        return replace(one, sequence_bytes=np.where(keep, one.sequence_bytes, 0.0))

    start = policy.update(policy.init(task), batch(0, 64))
    slow = start
    for step in range(16):
        slow = policy.update(slow, batch(step, 1))
    fast = policy.update(start, batch(0, 16))
    assert slow.baseline.number[0] - fast.baseline.number[0] < 16
    old = 64 * 0.9 ** (16 * 4 / 64)
    assert fast.baseline.number[0] == pytest.approx(old + 16)
    gone = sum(0.9 ** (age * 4 / 64) for age in range(16))
    assert slow.baseline.number[0] == pytest.approx(old + gone)
