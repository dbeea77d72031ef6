from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from golden import golden, numbers, training_feedback, uniform_task

from policies.contract import check_policy
from policies.published.dump import DUMP, absorb, mean_size
from policies.synthetic import make_feedback, make_task


@golden("dump__*")
def test_recorded_run(recording: Any) -> None:
    task, given = uniform_task(recording["k"]), recording["hyperparameters"]
    policy = DUMP(
        window=given["window"],
        temperature=given["temperature"],
        exploration=given["exploration_weight"],
    )
    state = policy.init(task)
    for number, step in enumerate(recording["steps"]):
        advantages = step["inputs"]["advantages"]
        domain = np.repeat(step["inputs"]["domains"], [len(one) for one in advantages])
        window = absorb(state.window, domain, numbers([x for one in advantages for x in one]))
        state = state._replace(window=window)
        weights = policy.decide(state, number).weights
        np.testing.assert_allclose(weights, numbers(step["weights"]), rtol=0, atol=1e-9)
        expected = step["state"]
        mean = numbers(expected["mean_abs_advantage"])
        np.testing.assert_allclose(mean_size(window), mean, rtol=0, atol=1e-9)
        np.testing.assert_array_equal(window.number, expected["samples_seen"])


def test_contract() -> None:
    check_policy(DUMP(), sizes=[1, 2, 13])
    check_policy(DUMP(window=3, temperature=1e-6, unit="bits_per_byte"), sizes=[1, 2, 13])


def test_samples_of_one_domain_mixed_with_others_keep_their_order() -> None:
    window = DUMP(window=3).init(uniform_task(2)).window
    domain = np.array([0, 1, 0, 0, 1, 0])
    window = absorb(window, domain, np.array([1.0, 10, -2, 3, 20, -4]))
    np.testing.assert_array_equal(window.number, [4, 2])
    np.testing.assert_allclose(mean_size(window), [(2 + 3 + 4) / 3, 15])
    window = absorb(window, np.array([0]), np.array([8.0]))
    np.testing.assert_allclose(mean_size(window), [(3 + 4 + 8) / 3, 15])


def test_advantage_is_the_fall_below_the_domains_earlier_sequences() -> None:
    task, policy = uniform_task(2), DUMP()
    state = policy.init(task)
    first = training_feedback(task, 0, task.prior, [0, 0, 1], [3.0, 5.0, 7.0])
    state = policy.update(state, first)
    assert not state.window.number.any()  # Nothing to compare with.
    np.testing.assert_allclose(state.baseline, [4, 7])
    state = policy.update(state, training_feedback(task, 1, task.prior, [0, 0], [1.0, 6.0]))
    np.testing.assert_allclose(mean_size(state.window), [(3 + 2) / 2, 0])
    np.testing.assert_allclose(state.baseline, [(3 + 5 + 1 + 6) / 4, 7])
    np.testing.assert_array_equal(state.window.number, [2, 0])


def test_baseline_forgets_what_is_older_than_the_window() -> None:
    task, policy = uniform_task(2), DUMP(window=4)
    state = policy.init(task)
    for step, loss in enumerate([8.0, 2.0, 2.0, 2.0, 2.0, 2.0]):
        batch = training_feedback(task, step, task.prior, [0, 0], [loss, loss])
        state = policy.update(state, batch)
    assert state.heard[0] == 4
    assert state.baseline[0] == pytest.approx(2 + 6 / 2**5)


def test_larger_advantages_are_preferred_and_the_prior_scales_them() -> None:
    task, policy = make_task(3), DUMP(exploration=0, temperature=0.5)
    window = absorb(policy.init(task).window, np.array([0, 1, 2]), np.array([0.1, -0.6, 0.2]))
    weights = policy.decide(policy.init(task)._replace(window=window), 0).weights
    expected = task.prior * np.exp(np.array([0.1, 0.6, 0.2]) / 0.5)
    np.testing.assert_allclose(weights, expected / expected.sum())
    none = replace(task, prior=np.array([0.0, 0.4, 0.6]))
    state = policy.update(policy.init(none), make_feedback(none, task.prior, 0))
    assert policy.decide(state, 1).weights[0] == 0


def test_numbers_never_forget_though_the_window_does() -> None:
    policy, task = DUMP(window=2), uniform_task(2)
    window = absorb(policy.init(task).window, np.zeros(9, dtype=np.int64), np.ones(9))
    bonus: Any = policy.diagnostics(policy.init(task)._replace(window=window))["bonus"]
    np.testing.assert_allclose(bonus, np.sqrt(2 * np.log(10) / np.array([10, 1])))


def test_faulty_losses_count_for_nothing() -> None:
    task, policy = uniform_task(2), DUMP()
    faults = [np.nan, np.inf, 1e308, 101.0, -1.0]
    state = policy.init(task)
    for step in range(2):
        spoilt = training_feedback(task, step, task.prior, [0] * 6, [*faults, 2.0 + step])
        state = policy.update(state, spoilt)
    np.testing.assert_array_equal(state.window.number, [1, 0])
    np.testing.assert_allclose(mean_size(state.window), [1, 0])


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"window": 0}, "window must be at least 1 sample, got 0"),
        ({"exploration": -1.0}, r"exploration must be in \[0, 1e6\], got -1.0"),
        ({"temperature": 0.0}, r"temperature must be in \[1e-6, inf\), got 0.0"),
        ({"unit": "bits"}, "unit must be 'nats_per_token' or 'bits_per_byte', got 'bits'"),
    ],
)
def test_dump_refuses(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DUMP(**given)
