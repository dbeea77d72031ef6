from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from scipy.optimize import minimize

import policies.published.tikmix_d
from policies import Task
from policies.contract import check_policy
from policies.published.tikmix import TiKMiX, TiKMiXState, normalised
from policies.published.tikmix_d import TiKMiXD, objective
from policies.published.tikmix_m import TiKMiXM, in_the_box
from policies.signals import Array, GradientSketches, Signal
from policies.synthetic import make_feedback, make_task

RULES: dict[str, TiKMiX] = {
    "D": TiKMiXD(update_every=3, average_over=2),
    "D uniform": TiKMiXD(update_every=3, average_over=1, even="uniform"),
    "D flat": TiKMiXD(update_every=4, entropy=0.0, balance=0.0),
    "M": TiKMiXM(update_every=4, candidates=32, rounds=2, samples=32, keep=4, trees=5),
}


@pytest.mark.parametrize("name", RULES)
def test_contract(name: str) -> None:
    check_policy(RULES[name], sizes=[1, 2, 13])


@pytest.mark.parametrize("policy", [TiKMiXD(), TiKMiXM()])
def test_contract_at_many_domains(policy: TiKMiX) -> None:
    """At the published cadence nothing is measured for long, and nothing may be slow."""
    check_policy(policy, sizes=[300])


def random_rows(size: int, seed: int) -> Array:
    generator = np.random.default_rng(seed)
    influence = generator.normal(0.5, 1, (size, size)) + np.eye(size)
    return normalised(influence, np.ones((size, size), bool))


def hear(policy: TiKMiX, state: TiKMiXState, task: Task, influence: Array, step: int) -> Any:
    """The state after a step whose gradients have exactly these inner products."""
    sketches = GradientSketches(train=np.eye(task.num_domains), validation=influence)
    feedback = make_feedback(task, state.weights, step)
    signals = {Signal.GRADIENT_ALIGNMENT: sketches}
    return policy.update(state, replace(feedback, signals=signals))


@pytest.mark.parametrize("seed", range(4))
def test_solution_is_that_of_slsqp(seed: int) -> None:
    """The paper's own solver, from the paper's own start, finds no better mixture."""
    task, rows = make_task(6, seed=seed), random_rows(6, seed)
    policy = TiKMiXD(even="uniform")
    weights = policy._mixture(rows, task.prior, (0, 0))
    assert weights is not None
    best = minimize(
        lambda w: float(objective(w, rows, 1.0, 1.0, 1.0)),
        np.full(6, 1 / 6),
        method="SLSQP",
        bounds=[(1e-12, 1)] * 6,
        constraints=[
            {"type": "eq", "fun": lambda w: w.sum() - 1},
            {"type": "ineq", "fun": lambda w: rows @ (w - task.prior)},
        ],
        options={"ftol": 1e-13, "maxiter": 500},
    )
    assert best.success
    assert float(objective(weights, rows, 1.0, 1.0, 1.0)) <= best.fun + 1e-6
    np.testing.assert_allclose(weights, best.x, atol=2e-3)


@pytest.mark.parametrize("seed", range(4))
def test_no_domain_is_harmed_and_the_constraint_binds(seed: int) -> None:
    task, rows = make_task(8, seed=seed), random_rows(8, seed)
    weights = TiKMiXD()._mixture(rows, task.prior, (0, 0))
    assert weights is not None
    margin = rows @ (weights - task.prior)
    assert margin.min() > -1e-6
    free = TiKMiXD()._mixture(np.zeros((8, 8)), task.prior, (0, 0))
    assert free is not None
    np.testing.assert_allclose(free, task.prior, atol=1e-4)


def test_one_stage_by_hand() -> None:
    """Diagonal influence: every row is 0/1, so P = w, and the Pareto constraint is w >= prior."""
    task = replace(make_task(3), prior=np.array([0.2, 0.3, 0.5]))
    policy = TiKMiXD(update_every=1, average_over=1)
    state = hear(policy, policy.init(task), task, np.diag([5.0, 0.1, 2.0]), 0)
    np.testing.assert_allclose(state.weights, task.prior, atol=1e-6)
    # The first domain alone helps all: all weight goes to it but for the pull to the prior.
    helps_all = np.array([[1.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0]])
    state = hear(policy, policy.init(task), task, helps_all, 0)
    expected = task.prior * np.exp([3.0, 0, 0])
    np.testing.assert_allclose(state.weights, expected / expected.sum(), atol=1e-4)


def test_uniform_pull_is_the_published_entropy() -> None:
    task = replace(make_task(3), prior=np.array([0.2, 0.3, 0.5]))
    policy = TiKMiXD(update_every=1, average_over=1, even="uniform")
    state = hear(policy, policy.init(task), task, np.array([[1.0, 0, 0]] * 3), 0)
    expected = np.exp([3.0, 0, 0])
    np.testing.assert_allclose(state.weights, expected / expected.sum(), atol=1e-4)
    assert TiKMiXD().even == "prior"


def test_rows_are_the_domains_helped() -> None:
    """Validation of i with training of j is row i, column j: only its transpose helps domain 1."""
    task, policy = make_task(2), TiKMiXD(update_every=1, average_over=1)
    sketches = GradientSketches(train=np.eye(2), validation=np.array([[0.0, 1.0], [0.0, 1.0]]))
    feedback = make_feedback(task, task.prior, 0)
    feedback = replace(feedback, signals={Signal.GRADIENT_ALIGNMENT: sketches})
    state = policy.update(policy.init(task), feedback)
    np.testing.assert_array_equal(state.influence, sketches.validation)
    assert state.weights[1] > task.prior[1]


def test_normaliser() -> None:
    influence = np.array([[2.0, 1.0], [-1.0, -4.0]])
    rows = normalised(influence, np.ones((2, 2), bool))
    np.testing.assert_array_equal(rows[0], influence[0] / (2 + 1e-8))
    # Where nothing helps, less harm must stay better than more.
    np.testing.assert_allclose(rows[1], [-0.25, -1.0])


def test_what_was_not_measured_is_average() -> None:
    known = np.array([[True, True, False], [True, True, True], [False, False, False]])
    influence = np.array([[4.0, 2.0, 0], [1.0, 4.0, 4.0], [0, 0, 0]])
    rows = normalised(influence, known)
    np.testing.assert_allclose(rows[0], [1, 0.5, 0.75])
    np.testing.assert_allclose(rows[2], rows[:2].mean(axis=0))


def test_measurements_are_averaged_and_faults_dropped() -> None:
    task, policy = make_task(2), TiKMiXD(update_every=100, average_over=2)
    state = policy.init(task)
    for step, value in enumerate([1.0, 3.0, 5.0]):
        state = hear(policy, state, task, np.full((2, 2), value), step)
    np.testing.assert_allclose(state.influence, 3.5)  # 2 after two, then half way to 5.
    spoilt = hear(policy, state, task, np.array([[np.nan, 9.5], [9.5, 1e308]]), 3)
    np.testing.assert_allclose(spoilt.influence, [[3.5, 3.5], [6.5, 3.5]])


def test_gradients_are_asked_for_before_a_change_only() -> None:
    task, policy = make_task(3, total_steps=50), TiKMiXD(average_over=3)
    state = policy.init(task)
    asked = [step for step in range(25) if policy.decide(state, step).signals]
    assert asked == [7, 8, 9, 17, 18, 19]  # A fifth of the run is 10 steps.


@pytest.mark.parametrize("influence", [np.full((3, 3), np.nan), None])
def test_stage_without_measurement_keeps_the_mixture(influence: Array | None) -> None:
    task, policy = make_task(3), TiKMiXD(update_every=1)
    state = policy.init(task)
    if influence is None:
        after = policy.update(state, make_feedback(task, task.prior, 0))
    else:
        after = hear(policy, state, task, influence, 0)
    np.testing.assert_array_equal(after.weights, task.prior)
    assert after.changes == after.failures == 0


def test_failed_solve_keeps_the_last_mixture_and_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    task, policy = make_task(3), TiKMiXD(update_every=1, average_over=1)
    state = hear(policy, policy.init(task), task, random_rows(3, 0), 0)
    monkeypatch.setattr(policies.published.tikmix_d, "solve", lambda problem: False)
    after = hear(policy, state, task, random_rows(3, 1), 1)
    np.testing.assert_array_equal(after.weights, state.weights)
    assert (after.changes, after.failures) == (1, 1)
    assert policy.diagnostics(after)["failures"] == 1


@pytest.mark.parametrize("policy", [RULES["D"], RULES["D uniform"], RULES["M"]])
def test_zero_prior_stays_zero(policy: TiKMiX) -> None:
    task = replace(make_task(3), prior=np.array([0.0, 0.4, 0.6]))
    policy = replace(policy, update_every=1)
    state = hear(policy, policy.init(task), task, np.array([[1.0, 0, 0.2]] * 3), 0)
    assert state.changes == 1
    assert state.weights[0] == 0


def test_search_finds_much_of_what_the_program_finds() -> None:
    task = make_task(6)
    rows = normalised(np.tile([1.0, 0, 0, 0, 0, 0], (6, 1)), np.ones((6, 6), bool))
    exact = TiKMiXD(even="uniform")._mixture(rows, task.prior, (0, 0))
    found = TiKMiXM(trees=50)._mixture(rows, task.prior, (0, 0))
    assert exact is not None
    assert found is not None
    values = [float(objective(w, rows, 1.0, 1.0, 1.0)) for w in (task.prior, found, exact)]
    assert values[0] > values[1] > values[2]
    assert found[0] > 1.3 * task.prior[0]


def test_search_is_the_seeds() -> None:
    prior, rows, policy = make_task(4).prior, random_rows(4, 0), RULES["M"]
    first, again, other = (policy._mixture(rows, prior, seed) for seed in [(0, 3), (0, 3), (1, 3)])
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_candidates_stay_in_the_box_and_fill_it() -> None:
    prior = make_task(5).prior
    mixtures = in_the_box(prior, 0.5, 400, np.random.default_rng(0))
    np.testing.assert_allclose(mixtures.sum(axis=1), 1)
    ratio = mixtures / prior
    assert ratio.min() >= 0.5 - 1e-9
    assert ratio.max() <= 1.5 + 1e-9
    assert (ratio.min(axis=0) < 0.6).all()
    assert (ratio.max(axis=0) > 1.4).all()


@pytest.mark.parametrize(
    ("rule", "settings", "message"),
    [
        (TiKMiXD, {"balance": -1.0}, r"balance must be in \[0, 1e6\], got -1.0"),
        (TiKMiXD, {"gain": np.nan}, r"gain must be in \[0, 1e6\], got nan"),
        (TiKMiXD, {"update_every": 0}, "update_every must be a positive number of steps"),
        (TiKMiXD, {"average_over": 0}, "average_over must be at least 1, got 0"),
        (TiKMiXD, {"even": "odd"}, "even must be 'prior' or 'uniform', got 'odd'"),
        (TiKMiXM, {"box": 2.0}, r"box must be in \(0, 1\], got 2.0"),
        (TiKMiXM, {"rounds": 0}, "rounds must be at least 1, got 0"),
        (TiKMiXM, {"samples": 10}, r"keep must be at most samples \(10\), got 32"),
        (TiKMiXM, {"concentration": 0.0}, r"concentration must be in \(0, 1e6\], got 0.0"),
    ],
)
def test_settings_are_refused(rule: type, settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rule(**settings)
