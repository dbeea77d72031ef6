from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from golden import golden, numbers, training_feedback, uniform_task

from policies import Signal, Task
from policies.contract import check_policy
from policies.feedback import LN2
from policies.published.doremi import DoReMi, DoReMiState
from policies.signals import Array, ReferenceLoss
from policies.synthetic import make_feedback, make_task

ABSENT = float("nan")


def reference_loss(num_domains: int, domain: list[int], excess: list[list[float]]) -> ReferenceLoss:
    """What the trainer would measure if these were the excess losses of each sequence's tokens."""
    tokens: list[list[float]] = [[] for _ in range(num_domains)]
    for one, values in zip(domain, excess, strict=True):
        tokens[one] += values
    return ReferenceLoss(
        excess=np.array([np.mean(values) if values else ABSENT for values in tokens]),
        clipped_excess=np.array(
            [np.mean(np.maximum(values, 0)) if values else ABSENT for values in tokens]
        ),
    )


def excess_loss(excess: Array) -> ReferenceLoss:
    """Means whose tokens all agree."""
    return ReferenceLoss(excess, np.maximum(excess, 0))


def play(policy: DoReMi, task: Task, measured: list[ReferenceLoss]) -> list[DoReMiState]:
    states = [policy.init(task)]
    for step, one in enumerate(measured):
        weights = policy.decide(states[-1], step).weights
        feedback = make_feedback(task, weights, step)
        feedback = replace(feedback, signals={Signal.REFERENCE_LOSS: one})
        states.append(policy.update(states[-1], feedback))
    return states


def check_original(recording: dict[str, Any], tolerance: float) -> None:
    k, given = recording["k"], recording["hyperparameters"]
    policy = DoReMi(
        eta=given["reweight_eta"],
        smoothing=given["reweight_eps"],
        initial_excess=float(np.log(given["vocabulary_size"])),
    )
    task = uniform_task(k)
    prior = numbers(recording["initial"]["weights"])
    inputs = [step["inputs"] for step in recording["steps"]]
    measured = [reference_loss(k, one["domain_ids"], one["excess_losses"]) for one in inputs]
    states = play(policy, replace(task, prior=prior / prior.sum()), measured)
    for step, state in zip(recording["steps"], states[1:], strict=True):
        weights = policy.decide(state, 0).weights
        np.testing.assert_allclose(weights, step["weights"], rtol=0, atol=tolerance)
        np.testing.assert_allclose(state.excess, step["state"]["scores"], rtol=0, atol=tolerance)
        # The original counts the initial weights as one more term of the average.
        average = (prior + state.updates * state.average) / (state.updates + 1)
        expected = step["state"]["average_weights"]
        np.testing.assert_allclose(average, expected, rtol=0, atol=tolerance)
        assert state.updates + 1 == step["state"]["update_counter"]


def check_port(recording: dict[str, Any], tolerance: float) -> None:
    given = recording["hyperparameters"]
    policy = DoReMi(
        eta=given.get("mu") or given["step_size"],
        smoothing=given["reweight_eps"],
        clip="domain",
        initial_excess=1e-6,
    )
    inputs = [step["inputs"] for step in recording["steps"]]
    measured = [
        excess_loss(numbers(one["losses"]) - numbers(one["reference_losses"])) for one in inputs
    ]
    states = play(policy, uniform_task(recording["k"]), measured)
    for step, state in zip(recording["steps"], states[1:], strict=True):
        weights = policy.decide(state, 0).weights
        np.testing.assert_allclose(weights, step["weights"], rtol=0, atol=tolerance)
        np.testing.assert_allclose(state.excess, step["state"]["scores"], rtol=0, atol=tolerance)
        average = policy.diagnostics(state)["average"]
        expected = step["state"]["average_weights"]
        np.testing.assert_allclose(average, expected, rtol=0, atol=tolerance)


@golden("doremi__*")
def test_original_code_is_matched(recording: dict[str, Any]) -> None:
    check_original(recording, 1e-9)


@golden("doremi__*", single=True)
def test_original_code_is_matched_in_single_precision(recording: dict[str, Any]) -> None:
    check_original(recording, 2e-6)


@golden("doge__doremi*", "aioli__doremi*")
def test_ports_are_matched(recording: dict[str, Any]) -> None:
    check_port(recording, 1e-9)


@golden("doge__doremi*", "aioli__doremi*", single=True)
def test_ports_are_matched_in_single_precision(recording: dict[str, Any]) -> None:
    check_port(recording, 2e-6)


@pytest.mark.parametrize(
    "policy",
    [
        DoReMi(),
        DoReMi(unit="bits_per_byte"),
        DoReMi(clip="domain", initial_excess=1e-6, eta=0.01),
        DoReMi(initial_excess=10.8, smoothing=0.0),
    ],
)
def test_contract_is_kept(policy: DoReMi) -> None:
    check_policy(policy, sizes=[1, 2, 13])


def test_many_domains() -> None:
    check_policy(DoReMi(), sizes=[2000])


def test_tokens_are_clipped_before_the_mean() -> None:
    """Tokens of both signs tell the paper's rule from that of the ports."""
    measured = reference_loss(2, [0, 1], [[2.0, -2.0], [0.5, 0.5]])
    paper, port = (
        play(DoReMi(clip=clip), uniform_task(2), [measured])[-1] for clip in ("token", "domain")
    )
    np.testing.assert_allclose(paper.excess, [1.0, 0.5])
    np.testing.assert_allclose(port.excess, [0.0, 0.5])
    assert paper.weights[0] > 0.5 > port.weights[0]


def test_no_weight_falls_below_its_share_of_the_smoothing() -> None:
    states = play(DoReMi(), uniform_task(5), [excess_loss(np.array([9.0, 0, 0, 0, 0]))] * 20)
    np.testing.assert_allclose(states[-1].weights[1:], 1e-3 / 5, rtol=1e-3)
    assert states[-1].weights.min() >= 1e-3 / 5


def test_output_is_the_average_of_all_updates() -> None:
    generator = np.random.default_rng(0)
    policy = DoReMi()
    states = play(policy, make_task(4), [excess_loss(one) for one in generator.random((9, 4))])
    mean = np.mean([state.weights for state in states[1:]], axis=0)
    np.testing.assert_allclose(policy.diagnostics(states[-1])["average"], mean, atol=1e-12)
    assert np.abs(mean - states[-1].weights).max() > 0.05


def test_absent_domain_keeps_its_excess() -> None:
    measured = [excess_loss(np.array([2.0, 1.0])), excess_loss(np.array([ABSENT, 1.0]))]
    state = play(DoReMi(smoothing=0), uniform_task(2), measured)[-1]
    assert np.log(state.weights[0] / state.weights[1]) == pytest.approx(2.0)


def test_domain_never_measured_moves_neither_way() -> None:
    task = replace(make_task(3), prior=np.array([0.2, 0.3, 0.5]))
    states = play(DoReMi(smoothing=0), task, [excess_loss(np.array([1.0, 1.4, ABSENT]))])
    growth = np.log(states[1].weights / task.prior)
    assert growth[2] - growth[0] == pytest.approx((0.2 * 1.0 + 0.3 * 1.4) / 0.5 - 1.0)


def test_bits_per_byte_compare_across_tokenizers() -> None:
    """As much excess on the same bytes counts the same, in however many tokens it comes."""
    task = replace(uniform_task(2), bytes_per_token=np.array([2.0, 6.0]))
    measured = excess_loss(np.array([0.2, 0.6]))
    state = play(DoReMi(unit="bits_per_byte"), task, [measured])[-1]
    np.testing.assert_allclose(state.excess, 0.1 / LN2)
    np.testing.assert_allclose(state.weights, 0.5)
    assert play(DoReMi(), task, [measured])[-1].weights[1] > 0.5


def test_without_measurement_nothing_changes() -> None:
    task, policy = make_task(3), DoReMi()
    state = play(policy, task, [excess_loss(np.arange(3.0))])[-1]
    feedback = training_feedback(task, 1, state.weights, [0, 1, 2], [1.0, 2.0, 3.0])
    assert policy.update(state, feedback) is state
    lost = ReferenceLoss(np.full(3, ABSENT), np.array([np.inf, -1.0, 1e300]))
    feedback = replace(feedback, signals={Signal.REFERENCE_LOSS: lost})
    assert policy.update(state, feedback) is state


def test_zero_prior_stays_zero() -> None:
    task = replace(make_task(3), prior=np.array([0.0, 0.4, 0.6]))
    assert play(DoReMi(), task, [excess_loss(np.ones(3))] * 3)[-1].weights[0] == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"eta": 0.0}, r"eta must be in \(0, 1e6\], got 0.0"),
        ({"smoothing": 1.0}, r"smoothing must be in \[0, 1\), got 1.0"),
        ({"clip": "mean"}, "clip must be 'token' or 'domain', got 'mean'"),
        ({"initial_excess": np.nan}, r"initial_excess must be in \[0, 100\] or None, got nan"),
        ({"unit": "bits"}, "unit must be 'nats_per_token' or 'bits_per_byte', got 'bits'"),
    ],
)
def test_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DoReMi(**settings)
