from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from golden import training_feedback, uniform_task

from policies import Feedback, Signal, Task
from policies.contract import check_policy
from policies.published.gvm import GVM
from policies.signals import Array, GradientNoise
from policies.synthetic import make_task

NAN = float("nan")


def heard(task: Task, variance: Any, squared_norm: Any = 0.0) -> Feedback:
    feedback = training_feedback(task, 0, task.prior, list(range(task.num_domains)), [1.0] * 3)
    norm = np.broadcast_to(squared_norm, task.num_domains).astype(float)
    noise = GradientNoise(norm, np.array(variance, float))
    return replace(feedback, signals={Signal.GRADIENT_NOISE: noise})


def weights_after(policy: GVM, task: Task, *feedback: Feedback) -> Array:
    state = policy.init(task)
    for one in feedback:
        state = policy.update(state, one)
    return policy.decide(state, 1).weights


def test_shares_follow_noise_and_target() -> None:
    task = replace(make_task(3), target=np.array([0.2, 0.3, 0.5]))
    found = weights_after(GVM(), task, heard(task, [9.0, 4.0, 1.0]))
    np.testing.assert_allclose(found, np.array([0.6, 0.6, 0.5]) / 1.7)


def test_second_moment_includes_the_mean_gradient() -> None:
    task = uniform_task(3)
    policy = GVM(deviation="second_moment")
    found = weights_after(policy, task, heard(task, [9.0, 4.0, 1.0], [7.0, -1.0, NAN]))
    # The last is not measured, hence as the mean of the others.
    np.testing.assert_allclose(found, np.array([4.0, 2.0, 3.0]) / 9)


def test_measurements_are_averaged() -> None:
    task, policy = uniform_task(3), GVM(memory=0.75)
    state = policy.init(task)
    for variance in ([4.0, 4.0, NAN], [8.0, NAN, 1.0], [-1.0, 0.0, np.inf]):
        state = policy.update(state, heard(task, variance))
    np.testing.assert_allclose(policy.diagnostics(state)["deviation"], np.sqrt([5.0, 4.0, 1.0]))


def test_prior_holds_until_something_is_measured() -> None:
    task = make_task(3)
    found = weights_after(GVM(), task, heard(task, [NAN, -1.0, 0.0]))
    np.testing.assert_array_equal(found, task.prior)


def test_zero_prior_stays_zero() -> None:
    task = replace(make_task(3), prior=np.array([0.0, 0.4, 0.6]))
    np.testing.assert_allclose(weights_after(GVM(), task, heard(task, np.ones(3))), [0, 0.5, 0.5])


def test_noise_is_asked_for_when_due() -> None:
    policy = GVM(update_every=2)
    state = policy.init(make_task(2))
    assert [bool(policy.decide(state, step).signals) for step in range(4)] == [True, False] * 2


@pytest.mark.parametrize(
    "policy", [GVM(update_every=2), GVM(deviation="second_moment", memory=0.0, update_every=1)]
)
def test_contract_is_kept(policy: GVM) -> None:
    check_policy(policy, sizes=[1, 2, 13])


def test_many_domains() -> None:
    check_policy(GVM(update_every=2), sizes=[2000])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"deviation": "norm"}, "deviation must be 'variance' or 'second_moment', got 'norm'"),
        ({"memory": 1.0}, r"memory must be in \[0, 1\), got 1.0"),
        ({"update_every": 0}, "update_every must be at least 1 step, got 0"),
    ],
)
def test_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        GVM(**settings)
