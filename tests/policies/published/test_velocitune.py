from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from golden import training_feedback, uniform_task

from policies import Policy, Task
from policies.contract import check_policy
from policies.published.velocitune import Velocitune, VelocituneState, velocities
from policies.signals import Array, Signal, ValidationLoss
from policies.synthetic import make_task


def targets(task: Task) -> Policy:
    return Velocitune(targets=dict.fromkeys(task.names, 0.5), update_every=2, step_size=0.3)


def heard(policy: Velocitune, task: Task, *losses: Array | None) -> VelocituneState:
    """The state after these validation losses in nats, one at each update."""
    state = policy.init(task)
    for number, loss in enumerate(losses):
        step = number * policy.update_every
        signals = {}
        if loss is not None:
            nats = np.array(loss, dtype=np.float64)
            signals = {Signal.VALIDATION_LOSS: ValidationLoss(nats, nats / 4, np.ones_like(nats))}
        batch = training_feedback(task, step, task.prior, [0], [1.0], signals=signals)
        state = policy.update(state, batch)
    return state


def given(*values: float) -> dict[str, float]:
    return {f"d{number:04d}": value for number, value in enumerate(values)}


def test_contract() -> None:
    check_policy(targets, sizes=[1, 2, 13])
    check_policy(Velocitune(update_every=2, min_points=4), sizes=[1, 2, 13])
    check_policy(Velocitune(update_every=2, unit="bits_per_byte"), sizes=[2])


def test_by_hand() -> None:
    policy = Velocitune(targets=given(1.0, 2.0, 3.0), step_size=0.5)
    task = make_task(3)
    start, later = np.array([5.0, 4.0, 4.0]), np.array([2.0, 3.0, 3.9])
    state = heard(policy, task, start)
    np.testing.assert_allclose(policy.decide(state, 1).weights, task.prior)  # V is 1 for all.
    state = heard(policy, task, start, later)
    velocity = np.array([1 / 4, 1 / 2, 0.9])
    np.testing.assert_allclose(velocities(state), velocity)
    expected = task.prior * np.exp(0.5 * velocity)
    np.testing.assert_allclose(policy.decide(state, 2).weights, expected / expected.sum())
    state = heard(policy, task, start, later, later)
    expected = task.prior * np.exp(velocity)  # Twice a half.
    np.testing.assert_allclose(policy.decide(state, 3).weights, expected / expected.sum())


def test_velocity_is_kept_in_bounds() -> None:
    policy = Velocitune(targets=given(1.0, 2.0, 5.0, 1.0))
    losses = np.array([3.0, 2.1, 4.0, 3.0]), np.array([0.5, 9.0, 4.5, 3.5])
    state = heard(policy, uniform_task(4), *losses)
    # Past the target; risen far; no way to go from the first; risen.
    np.testing.assert_allclose(velocities(state), [0, 10, 0, 1.25])


def test_unit_of_losses_does_not_matter_to_velocities() -> None:
    losses = np.array([4.0, 4.0]), np.array([3.0, 2.0])
    task = uniform_task(2)
    nats = heard(Velocitune(targets=given(1.0, 1.0)), task, *losses)
    bits = heard(Velocitune(targets=given(0.25, 0.25), unit="bits_per_byte"), task, *losses)
    np.testing.assert_allclose(velocities(nats), velocities(bits))


def test_faulty_and_missing_losses_repeat_the_last() -> None:
    policy, task = Velocitune(targets=given(1.0, 1.0)), uniform_task(2)
    start = np.array([3.0, np.nan])
    state = heard(policy, task, start)
    np.testing.assert_allclose(velocities(state), [1, 1])  # The unknown takes the others' mean.
    for fault in (np.nan, np.inf, 1e308, -1.0, 0.0):
        state = heard(policy, task, start, np.array([fault, 5.0]), None, np.array([2.0, fault]))
        np.testing.assert_allclose(state.initial, [3, 5])
        np.testing.assert_allclose(velocities(state), [0.5, 1])


def test_asks_only_when_due() -> None:
    policy, task = Velocitune(update_every=5), make_task(2)
    asked = [bool(policy.decide(policy.init(task), step).signals) for step in range(11)]
    assert [step for step in range(11) if asked[step]] == [0, 5, 10]
    state = policy.init(task)
    loss = ValidationLoss(np.ones(2), np.ones(2), np.ones(2))
    early = training_feedback(
        task, 3, task.prior, [0], [1.0], signals={Signal.VALIDATION_LOSS: loss}
    )
    assert policy.update(state, early) is state


def curve(step: int) -> Array:
    """A fast and a slow learner of equal first loss."""
    time = (step + 1.0) ** -np.array([0.7, 0.2])
    return np.array([2.0, 1.0]) + np.array([2.0, 3.0]) * time


def test_forecast_targets_are_where_the_run_ends() -> None:
    task, policy = uniform_task(2, total_steps=20_000), Velocitune()
    losses = [curve(100 * number) for number in range(12)]
    assert not heard(policy, task, *losses[:7]).aimed.any()
    np.testing.assert_allclose(
        policy.decide(heard(policy, task, *losses[:7]), 700).weights, task.prior
    )
    state = heard(policy, task, *losses)
    np.testing.assert_allclose(state.target, curve(19_999), atol=0.02)
    weights = policy.decide(state, 1200).weights
    assert weights[1] > weights[0] + 0.05


def test_long_runs_fit_in_the_table() -> None:
    task, policy = uniform_task(2, total_steps=300), Velocitune(update_every=1, min_points=100)
    state = heard(policy, task, *(curve(step) for step in range(200)))
    assert state.history.loss.shape == (64, 2)
    assert np.isfinite(policy.decide(state, 200).weights).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"targets": {"de": 0.0}}, r"targets of 'de' must be in \(0, 100\], got 0.0"),
        ({"targets": {"de": np.nan}}, r"targets of 'de' must be in \(0, 100\], got nan"),
        ({"step_size": 0.0}, r"step_size must be in \(0, 1e3\], got 0.0"),
        ({"update_every": 0}, "update_every must be at least 1 step, got 0"),
        ({"min_points": 3}, "min_points must be at least 4, got 3"),
        ({"unit": "bits"}, "unit must be 'nats_per_token' or 'bits_per_byte', got 'bits'"),
    ],
)
def test_velocitune_refuses(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Velocitune(**settings)


def test_targets_are_for_the_domains_of_the_corpus() -> None:
    with pytest.raises(ValueError, match=r"got none for \['d0001'\] and some for \['xx'\]"):
        Velocitune(targets={"d0000": 1.0, "xx": 2.0}).init(make_task(2))
