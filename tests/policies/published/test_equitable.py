from __future__ import annotations

from dataclasses import replace
from typing import Any

import cvxpy as cp
import numpy as np
import pytest

from policies import Task
from policies.contract import check_policy
from policies.learning_curves import EXPONENTS, Curves
from policies.published.equitable import Equitable, best_plan
from policies.signals import Array, Signal, ValidationLoss
from policies.synthetic import make_feedback, make_task

FLOOR = np.array([1.0, 2.0, 0.5, 1.5])
SCALE = np.array([30.0, 10.0, 20.0, 40.0])
EXPONENT = EXPONENTS[[30, 20, 40, 25]]
TOKENS = np.array([1e5, 4e5, 2e6, 3e4])
CURVES = Curves(FLOOR, SCALE, EXPONENT, np.ones(4, bool))


def even_task(**changes: Any) -> Task:
    even = {"prior": np.full(4, 0.25), "unique_tokens": np.full(4, 1e9)}
    return replace(make_task(4, total_steps=1000), **(even | changes))


def train(policy: Equitable, task: Task, steps: int, curves: Curves = CURVES) -> Any:
    """The state after a run whose losses follow these curves, read at the policy's weights."""
    state, tokens = policy.init(task), np.zeros(task.num_domains)
    for step in range(steps):
        decision = policy.decide(state, step)
        tokens = tokens + decision.weights * task.tokens_per_step
        feedback = replace(
            make_feedback(task, decision.weights, step), epochs=tokens / task.unique_tokens
        )
        if decision.signals:
            assert decision.signals == policy.signals
            loss = curves.floor + curves.scale * tokens**-curves.exponent
            measured = ValidationLoss(loss, loss / 2, np.zeros(task.num_domains))
            feedback = replace(feedback, signals={Signal.VALIDATION_LOSS: measured})
        state = policy.update(state, feedback)
    return state, tokens


@pytest.mark.parametrize(
    "policy",
    [
        Equitable(update_every=2, inequality_aversion=0.0, unit="bits_per_byte"),
        Equitable(update_every=2, inequality_aversion=100.0),
    ],
)
def test_contract_of_other_utilities(policy: Equitable) -> None:
    check_policy(policy, sizes=[13])


@pytest.mark.parametrize("size", [1, 2, 13])
def test_contract(size: int) -> None:
    check_policy(Equitable(update_every=1), sizes=[size])


def test_contract_with_costs() -> None:
    check_policy(Equitable(update_every=1, cost={"d0000": 5.0}), sizes=[2])
    check_policy(Equitable(), sizes=[2000])


@pytest.mark.parametrize("aversion", [0.0, 1.0, 4.0])
def test_plan_is_that_of_a_convex_program(aversion: float) -> None:
    state = Equitable(cost={"d0001": 3.0}).init(even_task())
    budget = 1e7
    plan = best_plan(CURVES, TOKENS, state, budget, aversion)
    more = cp.Variable(4)  # In units of the budget.
    losses = [
        FLOOR[j]
        + SCALE[j]
        * budget ** -EXPONENT[j]
        * cp.exp(-EXPONENT[j] * cp.log(TOKENS[j] / budget + more[j]))
        for j in range(4)
    ]
    utilities = [cp.exp(aversion * loss) / aversion if aversion else loss for loss in losses]
    problem = cp.Problem(cp.Minimize(sum(utilities)), [state.cost @ more <= 1, more >= 0])
    problem.solve(solver="CLARABEL")
    assert state.cost @ plan == pytest.approx(budget)
    np.testing.assert_allclose(plan / budget, more.value, atol=2e-3)


def test_plan_is_what_greedy_buying_comes_to() -> None:
    state = Equitable(inequality_aversion=2.0, cost={"d0003": 2.0}).init(even_task())
    parts, budget = 4000, 1e7
    bought = np.zeros(4)

    def utility(tokens: Array) -> Array:
        worth: Array = -np.exp(2 * (FLOOR + SCALE * tokens**-EXPONENT)) / 2
        return worth

    for _ in range(parts):
        piece = budget / parts / state.cost
        gain = utility(TOKENS + bought + piece) - utility(TOKENS + bought)
        best = int(np.argmax(gain))  # Pieces cost the same.
        bought[best] += piece[best]
    plan = best_plan(CURVES, TOKENS, state, budget, 2.0)
    np.testing.assert_allclose(bought / budget, plan / budget, atol=2 / parts)


def test_target_decides_what_counts() -> None:
    state = Equitable().init(even_task(target=np.array([1.0, 0, 0, 0])))
    plan = best_plan(CURVES, TOKENS, state, 1e7, 1.0)
    np.testing.assert_allclose(plan, [1e7, 0, 0, 0])


def test_run_reaches_the_plan_made_with_the_true_curves() -> None:
    task, policy = even_task(), Equitable(update_every=20, inequality_aversion=0.5)
    state, tokens = train(policy, task, 400)
    assert state.changes > 10
    assert state.failures == 0
    np.testing.assert_allclose(state.exponent, EXPONENT, rtol=0.1)
    left = 600 * task.tokens_per_step
    plan = best_plan(CURVES, tokens, state, left, 0.5)
    np.testing.assert_allclose(state.weights, plan / plan.sum(), atol=0.02)


def test_aversion_cares_for_the_worst() -> None:
    """Higher aversion gives the domain with the highest loss more of the rest."""
    worst = np.argmax(FLOOR + SCALE * TOKENS**-EXPONENT)
    state = Equitable().init(even_task())
    shares = []
    for aversion in (0.0, 2.0, 10.0):
        plan = best_plan(CURVES, TOKENS, state, 1e8, aversion)
        shares.append(plan[worst] / plan.sum())
    assert shares[0] < shares[1] < shares[2]


def test_costly_tokens_are_bought_less() -> None:
    dear = Equitable(cost={"d0000": 4.0}).init(even_task())
    cheap = Equitable().init(even_task())
    bought = [best_plan(CURVES, TOKENS, state, 1e7, 1.0)[0] for state in (dear, cheap)]
    assert bought[0] < bought[1]


def test_unit_of_the_losses() -> None:
    task = even_task()
    fitted = [
        train(Equitable(update_every=20, unit=unit), task, 200)[0].floor
        for unit in ("nats_per_token", "bits_per_byte")
    ]
    np.testing.assert_allclose(fitted[1], fitted[0] / 2)


def test_validation_at_the_stated_steps_only() -> None:
    task, policy = make_task(3), Equitable()
    state = policy.init(task)
    assert [s for s in range(300) if policy.decide(state, s).signals] == [99, 199, 299]


def test_stays_at_the_prior_without_curves() -> None:
    task, policy = even_task(), Equitable(update_every=10)
    state, _ = train(policy, task, 39)  # Three measurements: no curve yet.
    np.testing.assert_array_equal(state.weights, task.prior)
    flat = Curves(FLOOR, np.zeros(4), EXPONENT, np.ones(4, bool))
    state, _ = train(policy, task, 100, flat)
    assert state.failures > 0
    np.testing.assert_array_equal(state.weights, task.prior)
    assert policy.diagnostics(state)["failures"] == state.failures


def test_last_step_plans_nothing() -> None:
    task, policy = even_task(total_steps=100), Equitable(update_every=10)
    assert train(policy, task, 100)[0].changes == train(policy, task, 99)[0].changes


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"update_every": 0}, "update_every must be at least 1, got 0"),
        ({"inequality_aversion": -1.0}, r"inequality_aversion must be in \[0, 100\], got -1.0"),
        ({"unit": "bits"}, "unit must be 'nats_per_token' or 'bits_per_byte', got 'bits'"),
        ({"cost": {"de": 0.0}}, r"cost of 'de' must be in \[1e-6, 1e6\], got 0.0"),
    ],
)
def test_settings_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Equitable(**settings)


def test_unknown_domain_is_refused() -> None:
    with pytest.raises(ValueError, match="cost must name domains of the corpus, got 'klingon'"):
        Equitable(cost={"klingon": 2.0}).init(make_task(3))
