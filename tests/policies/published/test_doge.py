from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from golden import golden, numbers, training_feedback, uniform_task

from policies import Feedback, Signal, Task
from policies.contract import check_policy
from policies.mirror import mirror_step
from policies.published.clipped_gradients import clip_gradients
from policies.published.doge import DoGE, DoGEState
from policies.signals import Array, GradientSketches
from policies.synthetic import SKETCH_SIZE, make_task


def rows(gradients: list[Any]) -> Array:
    """Recorded gradients, one a row; NaN for absent domains."""
    return np.array([np.full(10, np.nan) if row is None else row for row in gradients], np.float64)


def heard(task: Task, train: Array, validation: Array, rate: float = 1e-3) -> Feedback:
    domain = list(range(task.num_domains))
    feedback = training_feedback(task, 0, task.prior, domain, [1.0] * len(domain))
    signals = {Signal.GRADIENT_ALIGNMENT: GradientSketches(train, validation)}
    return replace(feedback, learning_rate=rate, signals=signals)


def settings(recording: dict[str, Any]) -> dict[str, Any]:
    given = recording["hyperparameters"]
    return {
        "mu": given["mu"],
        "max_norm": given["max_grad_norm"] or 1e9,
        "min_score": given["dw_min"],
        "max_score": given["dw_max"],
        "smoothing": given["reweight_eps"],
        "sketch_size": 10,
    }


def assert_close(found: Array, expected: list[Any], tolerance: float) -> None:
    np.testing.assert_allclose(found, numbers(expected), rtol=0, atol=tolerance)


def check_trajectory(
    recording: dict[str, Any], policy: DoGE, gradients: list[tuple[Array, Array]], tolerance: float
) -> None:
    task = uniform_task(recording["k"])
    task = replace(task, target=task.prior)
    state = policy.init(task)
    for step, (train, validation) in zip(recording["steps"], gradients, strict=True):
        state = policy.update(state, heard(task, train, validation, step["inputs"]["lr"]))
        assert_close(policy.decide(state, 0).weights, step["weights"], tolerance)
        assert_close(state.score, step["state"]["scores"], tolerance)
        total = step["state"]["cumulative_weights"]
        assert_close(state.updates * policy.diagnostics(state)["average"], total, 12 * tolerance)
        if policy.absent == "stale":
            kept = numbers(step["state"]["gradient_store"])
            assert_close(state.train, kept[: task.num_domains].tolist(), tolerance)


def check_port(recording: dict[str, Any], tolerance: float) -> None:
    """Aioli's port: the target is one validation batch over all domains."""
    k = recording["k"]
    gradients = [
        (
            rows(step["inputs"]["train_gradients"]),
            np.tile(numbers(step["inputs"]["mix_gradient"]), (k, 1)),
        )
        for step in recording["steps"]
    ]
    policy = DoGE(target="validation", **settings(recording))
    check_trajectory(recording, policy, gradients, tolerance)


def check_original(recording: dict[str, Any], tolerance: float) -> None:
    """The original: the target is a domain of its own, or all training domains."""
    k, given = recording["k"], recording["hyperparameters"]
    all_to_all = given["target_ids"] == given["train_ids"]
    policy = DoGE(
        target="train" if all_to_all else "validation",
        absent="score" if given["domains_per_update"] else "stale",
        **settings(recording),
    )
    gradients = []
    for step in recording["steps"]:
        stored = rows(step["inputs"]["gradients"])
        if recording["case"] == "pertoken":
            stored = running_on(stored, given["max_grad_norm"])
        gradients.append((stored[:k], np.tile(stored[-1], (k, 1))))
    check_trajectory(recording, policy, gradients, tolerance)


def running_on(gradients: Array, max_norm: float) -> Array:
    """What the original clips when it makes gradients parameter by parameter.

    It does not set them to zero between domains, so that each is added to the one before it, which
    has been clipped by then.
    """
    found, before = gradients.copy(), np.zeros(gradients.shape[1])
    for row in found:  # Views: what is added stays.
        if np.isfinite(row).all():
            row += before
            before = clip_gradients(row[None], max_norm).clipped()[0]
    return found


ORIGINAL = tuple(f"doge__{case}" for case in ("all_to_all", "mix_target", "pertoken", "selected"))


@golden(*ORIGINAL)
def test_original_code_is_matched(recording: dict[str, Any]) -> None:
    check_original(recording, 1e-9)


@golden(*ORIGINAL, single=True)
def test_original_code_is_matched_in_single_precision(recording: dict[str, Any]) -> None:
    check_original(recording, 2e-6)


@golden("aioli__doge", "aioli__doge_missing")
def test_port_is_matched(recording: dict[str, Any]) -> None:
    check_port(recording, 1e-9)


@golden("aioli__doge", "aioli__doge_missing", single=True)
def test_port_is_matched_in_single_precision(recording: dict[str, Any]) -> None:
    check_port(recording, 2e-6)


@golden("doge__ood_missing_eps")
def test_original_code_is_matched_for_targets_that_are_not_trained(
    recording: dict[str, Any],
) -> None:
    """They are domains that the prior leaves out, each counting once as in the authors' sum."""
    given = recording["hyperparameters"]
    size, k = given["n_domains"], recording["k"]
    task = uniform_task(size)
    policy = DoGE(absent="stale", **settings(recording))
    state = policy.init(replace(task, prior=np.where(np.arange(size) < k, 1 / k, 0.0)))
    counts = np.isin(np.arange(size), given["target_ids"])
    state = state._replace(target=counts / size)
    for step in recording["steps"]:
        gradients = rows(step["inputs"]["gradients"])
        state = policy.update(state, heard(task, gradients, gradients, step["inputs"]["lr"]))
        assert_close(policy.decide(state, 0).weights[:k], step["weights"], 1e-9)
        assert_close(state.score[:k], step["state"]["scores"], 1e-9)
        assert_close(state.train, step["state"]["gradient_store"], 1e-9)


@golden("aioli__doge_full_matrix")
def test_equations_serve_the_port_with_the_full_matrix(recording: dict[str, Any]) -> None:
    """The port scores each validation gradient against the mean training gradient."""
    k, given = recording["k"], recording["hyperparameters"]
    weights = np.full(k, 1 / k)
    for step in recording["steps"]:
        train, validation = (
            clip_gradients(rows(step["inputs"][name]), given["max_grad_norm"]).clipped()
            for name in ("train_gradients", "validation_gradients")
        )
        mean_norm = np.linalg.norm(train, axis=1).mean()
        rate = step["inputs"]["lr"]
        scores = rate * validation @ train.mean(axis=0) / (mean_norm + 1e-6)
        scores = np.clip(scores, rate * given["dw_min"], rate * given["dw_max"])
        weights = mirror_step(weights, scores / given["mu"])
        assert_close(scores, step["state"]["scores"], 1e-9)
        assert_close(weights, step["weights"], 1e-9)


POLICIES = [
    DoGE(),
    DoGE(target="validation", score="plain", update_every=3, smoothing=0.01),
    DoGE(absent="stale", sketch_size=SKETCH_SIZE, min_score=-5.0),
    DoGE(absent="stale", target="validation", sketch_size=SKETCH_SIZE),
    DoGE(absent="score", target="validation", min_score=-5.0),
]


@pytest.mark.parametrize("policy", POLICIES)
def test_contract_is_kept(policy: DoGE) -> None:
    check_policy(policy, sizes=[1, 2, 13])


def test_many_domains() -> None:
    check_policy(DoGE(), sizes=[2000])


def updated(policy: DoGE, task: Task, *gradients: tuple[Array, Array]) -> DoGEState:
    state: DoGEState = policy.init(task)
    for train, validation in gradients:
        state = policy.update(state, heard(task, train, validation))
    return state


def test_plain_score_is_the_equation() -> None:
    task = replace(make_task(3), target=np.full(3, 1 / 3))
    train = np.random.default_rng(0).normal(size=(3, 4))
    state = updated(DoGE(score="plain", max_norm=1e6), task, (train, train))
    expected = task.prior * np.exp(1e-3 / 0.01 * train @ train.sum(axis=0))
    np.testing.assert_allclose(state.weights, expected / expected.sum(), rtol=1e-5)


def test_absent_domain_scores_zero_and_counts_in_the_mean_norm() -> None:
    train = np.array([[3.0, 0], [0, 0], [1.0, 0]])
    train[1] = np.nan
    state = updated(DoGE(), uniform_task(3), (train, train))
    np.testing.assert_allclose(
        state.score, 1e-3 * np.minimum([3.0 * 4 / (4 / 3), 0, 4 / (4 / 3)], 5), rtol=1e-5
    )


def test_stale_gradient_stands_for_an_absent_domain() -> None:
    first = np.array([[1.0, 0], [0, 1.0]])
    second = np.array([[np.nan, 0], [1.0, 0]])
    settings: dict[str, Any] = {"target": "validation", "sketch_size": 2}
    zero, stale = (
        updated(DoGE(absent=absent, **settings), uniform_task(2), (first, first), (second, first))
        for absent in ("zero", "stale")
    )
    assert zero.score[0] == 0 < stale.score[0]
    np.testing.assert_array_equal(stale.train[0], clip_gradients(first, 5).clipped()[0])


def test_last_score_stands_for_an_absent_domain() -> None:
    """And the mean norm is that of the domains that were measured."""
    first, second = np.diag([2.0, 4.0, np.nan]), np.diag([np.nan, 4.0, np.nan])
    aim = np.tile([0.5, 0.5, 0.5], (3, 1))
    policy = DoGE(absent="score", target="validation")
    once = updated(policy, uniform_task(3), (first, aim))
    np.testing.assert_allclose(once.score, [1e-3 / 3, 2e-3 / 3, 1e-6], rtol=1e-5)
    twice = updated(policy, uniform_task(3), (first, aim), (second, aim))
    np.testing.assert_allclose(twice.score, [1e-3 / 3, 2e-3 / 4, 1e-6], rtol=1e-5)


def test_domain_that_is_not_trained_counts_in_no_mean_norm() -> None:
    task = replace(uniform_task(3), prior=np.array([0.5, 0.5, 0.0]))
    train, aim = np.diag([2.0, 4.0, 4.9]), np.tile([0.5, 0.5, 0.5], (3, 1))
    for absent in ("zero", "stale", "score"):
        policy = DoGE(absent=absent, target="validation", sketch_size=3)
        state = updated(policy, task, (train, aim))
        np.testing.assert_allclose(state.score[:2], [1e-3 / 3, 2e-3 / 3], rtol=1e-5)
        assert state.weights[2] == 0
    nothing = np.full((2, 3), np.nan)
    assert updated(policy, task, (np.vstack([nothing, train[2:]]), aim)).updates == 0


def test_score_keeps_its_bounds() -> None:
    train = np.array([[4.0, 0], [-4.0, 0], [0.01, 0]])
    aim = np.tile([4.9, 0.0], (3, 1))
    state = updated(DoGE(target="validation", max_score=1.5), uniform_task(3), (train, aim))
    assert state.score[0] == pytest.approx(1.5e-3)
    assert state.score[1] == 0
    assert 0 < state.score[2] < 1e-4
    state = updated(DoGE(target="validation", min_score=-5.0), uniform_task(3), (train, aim))
    assert state.score[1] == pytest.approx(-5e-3)


@pytest.mark.parametrize("target", ["train", "validation"])
def test_target_says_whom_to_help(target: Any) -> None:
    task = replace(uniform_task(3), target=np.array([1.0, 0, 0]))
    own = np.eye(3)
    state = updated(DoGE(target=target), task, (own, own))
    assert state.score[0] > 0 == np.abs(state.score[1:]).max()


def test_missing_target_gradients_are_left_out() -> None:
    task, train = uniform_task(2), np.eye(2)
    held_out = np.array([[2.0, 0], [np.nan, 0]])
    policy = DoGE(target="validation")
    once = updated(policy, task, (train, held_out))
    both = updated(policy, task, (train, np.tile([2.0, 0], (2, 1))))
    np.testing.assert_allclose(once.score, both.score)
    nothing = np.full((2, 2), np.nan)
    assert updated(policy, task, (train, nothing)).updates == 0
    assert updated(policy, task, (nothing, train)).updates == 0


def test_stale_target_stands_for_one_that_was_not_measured() -> None:
    task, train, nothing = uniform_task(2), np.eye(2), np.full((2, 2), np.nan)
    policy = DoGE(target="validation", absent="stale", sketch_size=2)
    once = updated(policy, task, (train, train), (train, nothing))
    twice = updated(policy, task, (train, train), (train, train))
    np.testing.assert_array_equal(once.score, twice.score)
    assert once.updates == 2


def test_absurd_gradients_are_left_out() -> None:
    task, train = uniform_task(2), np.array([[1.0, 0], [0, 2.0]])
    for fault in (1e12, 1e200, np.inf):
        faulty, missing = train.copy(), train.copy()
        faulty[0, 0], missing[0, 0] = fault, np.nan
        found, expected = (updated(DoGE(), task, (one, one)) for one in (faulty, missing))
        np.testing.assert_array_equal(found.score, expected.score)


def test_smoothing_shares_a_part_evenly() -> None:
    train = np.array([[1.0, 0], [0, 2.0]])
    plain, smoothed = (
        updated(DoGE(smoothing=share), uniform_task(2), (train, train)).weights
        for share in (0.0, 0.4)
    )
    np.testing.assert_allclose(smoothed, 0.6 * plain + 0.2)


def test_output_is_the_average_of_all_updates() -> None:
    generator = np.random.default_rng(0)
    task, policy = make_task(4), DoGE(mu=1e-3)
    state, path = policy.init(task), []
    for gradients in generator.normal(size=(9, 4, 6)):
        state = policy.update(state, heard(task, gradients, gradients))
        path.append(state.weights)
    average: Any = policy.diagnostics(state)["average"]
    np.testing.assert_allclose(average, np.mean(path, axis=0), atol=1e-12)
    assert np.abs(average - state.weights).max() > 0.01


def test_gradients_are_asked_for_when_due() -> None:
    policy = DoGE(update_every=3)
    state = policy.init(make_task(2))
    asked = [bool(policy.decide(state, step).signals) for step in range(7)]
    assert asked == [True, False, False, True, False, False, True]


def test_sketches_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="length of the gradient sketches, 2, got 3"):
        updated(DoGE(absent="stale", sketch_size=3), uniform_task(2), (np.eye(2), np.eye(2)))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mu": 0.0}, r"mu must be in \[1e-6, inf\), got 0.0"),
        ({"target": "test"}, "target must be 'train' or 'validation', got 'test'"),
        ({"score": "cosine"}, "score must be 'normalised' or 'plain', got 'cosine'"),
        ({"absent": "drop"}, "absent must be 'zero', 'stale' or 'score', got 'drop'"),
        ({"min_score": 5.0}, "min_score must be below max_score.*got 5.0 and 5.0"),
        ({"max_norm": np.inf}, r"max_norm must be in \(0, 1e\+09\], got inf"),
        ({"smoothing": -0.1}, r"smoothing must be in \[0, 1\), got -0.1"),
        ({"update_every": 0}, "update_every must be at least 1 step, got 0"),
        ({"sketch_size": 0}, "sketch_size must be at least 1, got 0"),
    ],
)
def test_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DoGE(**settings)
