from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from policies import Task, UniMax
from policies.contract import check_policy
from policies.published.repetition_optimum import RepetitionOptimum
from policies.repetition import effective_epochs, marginal_value
from policies.signals import Array
from policies.synthetic import make_task


def task_of(unique: list[float], target: list[float] | None = None, tokens: int = 1000) -> Task:
    task = make_task(len(unique), total_steps=tokens)
    target = target or [1 / len(unique)] * len(unique)
    return replace(task, unique_tokens=np.array(unique), target=np.array(target), tokens_per_step=1)


def marginal(weights: Array, task: Task, tau: Array, alpha: float, decay: float) -> Array:
    """What one more token of each domain takes off the target's loss, shape (k,)."""
    epochs = weights * task.total_tokens / task.unique_tokens
    read = tau @ (task.unique_tokens * effective_epochs(epochs, decay))
    worth: Array = (task.target * read ** (-alpha - 1)) @ tau * marginal_value(epochs, decay)
    return worth


@pytest.mark.parametrize(
    "policy",
    [RepetitionOptimum(), RepetitionOptimum(alpha=1.0, decay=3.0, max_epochs=4.0)],
)
def test_contract(policy: RepetitionOptimum) -> None:
    check_policy(policy, sizes=[1, 2, 13])


def test_contract_with_transfer() -> None:
    transfer = {"d0000": {"d0001": 0.5}, "d0001": {"d0000": 0.2}}
    check_policy(RepetitionOptimum(transfer=transfer), sizes=[2, 13])
    check_policy(RepetitionOptimum(), sizes=[2000])


def test_plenty_of_text_is_shared_by_the_target() -> None:
    plenty = [1e9, 2e9, 5e12]
    np.testing.assert_allclose(RepetitionOptimum().mixture(task_of(plenty)), 1 / 3, rtol=1e-12)
    target = np.array([0.5, 0.3, 0.2])
    expected = target ** (1 / 1.3)
    weights = RepetitionOptimum().mixture(task_of(plenty, target.tolist()))
    np.testing.assert_allclose(weights, expected / expected.sum(), rtol=1e-12)


def test_scarce_text_approaches_the_natural_mixture() -> None:
    unique = np.array([1.0, 4.0, 5.0])
    far = [
        np.abs(RepetitionOptimum().mixture(task_of(unique.tolist(), tokens=tokens)) - unique / 10)
        for tokens in (100, 1000, 10_000)
    ]
    assert far[0].max() > far[1].max() > far[2].max()
    assert far[2].max() < 0.005


def test_small_decay_is_unimax_of_one_epoch() -> None:
    """Repeats worth nothing: a domain is read once, and the others share what is left."""
    task = task_of([50.0, 400.0, 1e6])
    weights = RepetitionOptimum(decay=1e-3).mixture(task)
    np.testing.assert_allclose(weights, UniMax(max_epochs=1).mixture(task), atol=1e-3)


@pytest.mark.parametrize("decay", [2.0, 15.4])
@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_every_domain_is_worth_the_same_at_the_optimum(alpha: float, decay: float) -> None:
    task = make_task(50)
    weights = RepetitionOptimum(alpha=alpha, decay=decay).mixture(task)
    worth = marginal(weights, task, np.eye(50), alpha, decay)
    np.testing.assert_allclose(worth, worth[0], rtol=1e-9)
    assert weights.min() > 0


def test_cap_is_kept_and_used() -> None:
    task, policy = make_task(50), RepetitionOptimum(max_epochs=2.0)
    weights = policy.mixture(task)
    epochs = weights * task.total_tokens / task.unique_tokens
    worth = marginal(weights, task, np.eye(50), policy.alpha, policy.decay)
    full = epochs > 2 - 1e-9
    assert 0 < full.sum() < 50
    assert epochs.max() <= 2 + 1e-9
    np.testing.assert_allclose(worth[~full], worth[~full][0], rtol=1e-9)
    assert worth[full].min() >= worth[~full][0]
    assert weights.sum() == pytest.approx(1, abs=1e-12)


def test_run_beyond_all_caps_is_natural() -> None:
    task = task_of([10.0, 30.0, 60.0])
    weights = RepetitionOptimum(max_epochs=4.0).mixture(task)
    np.testing.assert_allclose(weights, [0.1, 0.3, 0.6], rtol=1e-12)


def test_what_the_targets_cannot_take_goes_to_the_others() -> None:
    task = task_of([100.0, 500.0, 1500.0], [1.0, 0.0, 0.0])
    weights = RepetitionOptimum(max_epochs=1.0).mixture(task)
    np.testing.assert_allclose(weights, [0.1, 0.225, 0.675], rtol=1e-12)
    np.testing.assert_array_equal(RepetitionOptimum().mixture(task), [1, 0, 0])


def matrix(task: Task, seed: int) -> tuple[Array, dict[str, dict[str, float]]]:
    tau = np.random.default_rng(seed).uniform(0, 0.4, (task.num_domains,) * 2)
    np.fill_diagonal(tau, 1)
    columns = (dict(zip(task.names, column.tolist(), strict=True)) for column in tau.T)
    return tau, dict(zip(task.names, columns, strict=True))


@pytest.mark.parametrize("cap", [None, 3.0])
def test_transfer_meets_the_conditions_of_optimality(cap: float | None) -> None:
    task = make_task(8, seed=3)
    tau, transfer = matrix(task, 1)
    policy = RepetitionOptimum(transfer=transfer, max_epochs=cap)
    weights = policy.mixture(task)
    worth = marginal(weights, task, tau, policy.alpha, policy.decay)
    epochs = weights * task.total_tokens / task.unique_tokens
    full = np.zeros(8, bool) if cap is None else epochs > cap * (1 - 1e-5)
    assert full.any() == (cap is not None)
    assert epochs.max() < (cap or np.inf) * (1 + 1e-5)
    # Where readings are just complete the worth of a token jumps by nothing: it is continuous.
    inside = (weights > 1e-6) & ~full
    assert inside.sum() > 1
    np.testing.assert_allclose(worth[inside], worth[inside].mean(), rtol=1e-3)
    assert worth[(weights <= 1e-6) & ~full].max(initial=0) <= worth[inside].mean() * 1.001
    assert worth[full].min(initial=np.inf) >= worth[inside].mean() * 0.999


def test_solver_and_bisection_agree() -> None:
    task = make_task(13)
    alone = RepetitionOptimum().mixture(task)
    coupled = RepetitionOptimum(transfer={"d0000": {"d0001": 1e-12}}).mixture(task)
    np.testing.assert_allclose(coupled, alone, atol=1e-5)


def test_teacher_gains_share() -> None:
    task = task_of([1e9, 1e9, 1e9])
    teaches = {"d0000": {"d0001": 0.5, "d0002": 0.5}}
    weights = RepetitionOptimum(transfer=teaches).mixture(task)
    assert weights[0] > 0.4 > weights[1] == pytest.approx(weights[2], abs=1e-5)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"alpha": 0.0}, r"alpha must be in \(0, 2\], got 0.0"),
        ({"decay": 0.0}, r"decay must be in \[0.001, 1e6\], got 0.0"),
        ({"max_epochs": 0.0}, "max_epochs must be positive and finite, or left out, got 0.0"),
        ({"transfer": {"a": {"b": 2.0}}}, r"transfer to 'b' from 'a' must be in \[0, 1\], got 2.0"),
        ({"transfer": {"a": {"a": 0.5}}}, "transfer of 'a' to itself must be 1 or left out"),
    ],
)
def test_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RepetitionOptimum(**settings)


def test_unknown_domain_is_refused() -> None:
    policy = RepetitionOptimum(transfer={"d0000": {"klingon": 0.5}})
    with pytest.raises(ValueError, match="transfer must name domains of the corpus, got 'klingon'"):
        policy.init(make_task(3))
