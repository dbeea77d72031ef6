"""What policies minimise: values, their slopes, and that decisions are optima of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from policies import Policy, Task
from policies.goals import LeastVariance, PlannedLoss, SmoothGoal, StepBound, WorstRegret
from policies.learning_curves import EXPONENTS
from policies.minimax.game import Game
from policies.minimax.program import solve
from policies.policy import Decision
from policies.published.equitable import Equitable
from policies.published.gvm import GVM
from policies.published.pike import PiKE
from policies.signals import Array, GradientNoise, Signal, ValidationLoss
from policies.synthetic import make_feedback, make_task

FLOOR = np.array([1.0, 2.0, 0.5, 1.5])
SCALE = np.array([30.0, 10.0, 20.0, 40.0])
EXPONENT = EXPONENTS[[30, 20, 40, 25]]
READ = np.array([1e5, 4e5, 2e6, 3e4])
TARGET = np.array([0.1, 0.4, 0.3, 0.2])
MIXTURE = np.array([0.4, 0.3, 0.2, 0.1])


def planned(aversion: float, target: Array = TARGET) -> PlannedLoss:
    return PlannedLoss(target, FLOOR, SCALE, EXPONENT, READ, 1e7, aversion, "bits per byte")


SMOOTH: dict[str, SmoothGoal] = {
    "variance": LeastVariance(TARGET, np.array([3.0, 1.0, 2.0, 0.5])),
    "bound": StepBound(np.array([-1.0, 0.5, 0.0, 1.0]), np.array([2.0, 1.0, 0.5, 0.0])),
    "mean loss": planned(0.0),
    "loss": planned(2.0),
    "loss of some": planned(2.0, np.array([0.5, 0.5, 0.0, 0.0])),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_slope_and_curvature_are_those_of_the_value(name: str) -> None:
    goal, by = SMOOTH[name], 1e-5
    moves = np.eye(4)
    slope = [
        (goal.value(MIXTURE + by * m) - goal.value(MIXTURE - by * m)) / (2 * by) for m in moves
    ]
    np.testing.assert_allclose(goal.slope(MIXTURE), slope, rtol=1e-6, atol=1e-9)
    hessian = np.array(
        [(goal.slope(MIXTURE + by * m) - goal.slope(MIXTURE - by * m)) / (2 * by) for m in moves]
    )
    # What the curvature has more than the Hessian is no more than the square of slopes.
    more = np.diag(goal.curvature(MIXTURE)) - hessian
    assert np.linalg.eigvalsh((more + more.T) / 2).min() > -1e-6
    aversion = getattr(goal, "inequality_aversion", 0.0)
    outer = aversion * np.outer(goal.slope(MIXTURE), goal.slope(MIXTURE))
    np.testing.assert_allclose(more, outer, rtol=1e-4, atol=1e-4)


def test_equal_losses_are_as_bad_as_the_planned_loss() -> None:
    generator = np.random.default_rng(0)
    aversion, goal = 2.0, planned(2.0)
    mixtures = generator.dirichlet(np.ones(4), 50)
    losses = FLOOR + SCALE * (READ + 1e7 * mixtures) ** -EXPONENT
    utility = ((1 - np.exp(aversion * losses)) / aversion) @ TARGET
    values = np.array([goal.value(mixture) for mixture in mixtures])
    np.testing.assert_allclose((1 - np.exp(aversion * values)) / aversion, utility)


def test_aversion_ends_at_the_worst_loss() -> None:
    losses = FLOOR + SCALE * (READ + 1e7 * MIXTURE) ** -EXPONENT
    assert planned(1e6).value(MIXTURE) == pytest.approx(losses.max(), abs=1e-4)
    assert planned(1e-6).value(MIXTURE) == pytest.approx(TARGET @ losses, abs=1e-4)
    assert planned(0.0).value(MIXTURE) == pytest.approx(TARGET @ losses)
    assert np.isfinite(planned(1e6).slope(MIXTURE)).all()


def test_variance_without_a_share_is_infinite_only_where_it_counts() -> None:
    goal = LeastVariance(np.array([0.5, 0.5]), np.array([1.0, 0.0]))
    assert goal.value(np.array([1.0, 0.0])) == 0.25
    assert goal.value(np.array([0.0, 1.0])) == np.inf
    np.testing.assert_array_equal(goal.slope(np.array([1.0, 0.0])), [-0.25, 0])


@pytest.mark.parametrize("ambiguity", [np.inf, 0.1, 0.0])
def test_worst_regret_is_the_value_of_the_game(ambiguity: float) -> None:
    generator = np.random.default_rng(1)
    zeros, ones = np.zeros(4), np.ones(4)
    game = Game(generator.normal(size=(4, 4)), MIXTURE, zeros, ones, TARGET, ambiguity, 0.3)
    solution = solve(game)
    goal = WorstRegret(game)
    assert goal.value(solution.mixture) == pytest.approx(solution.value)
    others = generator.dirichlet(np.ones(4), 200)
    assert min(map(goal.value, others)) >= solution.value - solution.gap


def even_task(**changes: Any) -> Task:
    even = {"prior": np.full(4, 0.25), "unique_tokens": np.full(4, 1e9), "target": TARGET}
    return replace(make_task(4, total_steps=1000), **(even | changes))


def decided(policy: Policy, task: Task, steps: int) -> Decision:
    """The decision after a run whose losses follow the curves, with noisier domains first."""
    state, tokens = policy.init(task), np.zeros(4)
    for step in range(steps):
        decision = policy.decide(state, step)
        tokens = tokens + decision.weights * task.tokens_per_step
        loss = FLOOR + SCALE * np.maximum(tokens, 1.0) ** -EXPONENT
        noise = np.array([9.0, 4.0, np.nan, 1.0])
        measured: dict[Signal, Any] = {
            Signal.VALIDATION_LOSS: ValidationLoss(loss, loss / 2, np.zeros(4)),
            Signal.GRADIENT_NOISE: GradientNoise(np.ones(4), noise),
        }
        feedback = replace(
            make_feedback(task, decision.weights, step),
            epochs=tokens / task.unique_tokens,
            signals={kind: measured[kind] for kind in decision.signals},
        )
        state = policy.update(state, feedback)
    return policy.decide(state, steps)


@pytest.mark.parametrize(
    ("policy", "unit"),
    [
        (GVM(update_every=2), "squared gradient norm of one sequence"),
        (GVM(update_every=2, deviation="second_moment"), "squared gradient norm of one sequence"),
        (PiKE(update_every=2, variant="exact"), "bound on a step's change of the loss"),
        (Equitable(update_every=10), "nats per token"),
        (
            Equitable(update_every=10, inequality_aversion=0.0, unit="bits_per_byte"),
            "bits per byte",
        ),
        (
            Equitable(update_every=10, cost={f"d000{domain}": 3.0 for domain in range(4)}),
            "nats per token",
        ),
    ],
)
def test_weights_are_the_optimum_of_the_goal(policy: Policy, unit: str) -> None:
    weights, _, goal = decided(policy, even_task(), 55)
    assert goal is not None
    assert goal.unit == unit
    assert isinstance(goal, SmoothGoal)
    least = goal.value(weights)
    others = np.random.default_rng(0).dirichlet(np.ones(4), 200)
    for part in (1.0, 1e-2):
        assert all(goal.value(part * other + (1 - part) * weights) > least for other in others)
    # Where there is a share, the slope is the same.
    slope = goal.slope(weights)
    np.testing.assert_allclose(slope[weights > 1e-6], slope[weights > 1e-6].mean(), rtol=1e-6)


def test_goal_of_a_policy_leaves_out_what_the_prior_does() -> None:
    prior = np.array([0.5, 0.25, 0.25, 0.0])
    noisy = PiKE(update_every=2, variant="exact", zeta1=0.0, zeta2=1.0)
    for policy in (GVM(update_every=2), noisy):
        weights, _, goal = decided(policy, even_task(prior=prior), 5)
        assert isinstance(goal, SmoothGoal)
        assert weights[3] == 0
        others = np.random.default_rng(0).dirichlet(np.ones(4), 200)
        assert min(map(goal.value, others)) > goal.value(weights)


def test_no_goal_where_weights_are_no_optimum() -> None:
    task = even_task()
    assert decided(GVM(), task, 0).goal is None
    assert decided(PiKE(update_every=2), task, 5).goal is None  # A step, not an optimum.
    assert decided(PiKE(variant="exact"), task, 0).goal is None
    assert decided(Equitable(update_every=10), task, 35).goal is None  # No curve yet.
    dear = Equitable(update_every=10, cost={"d0001": 3.0})
    assert decided(dear, task, 55).goal is None
    assert not np.array_equal(decided(dear, task, 55).weights, task.prior)


@pytest.mark.parametrize("name", SMOOTH)
def test_mixture_of_other_domains_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=r"weights must have shape \(4,\), got \(3,\)"):
        SMOOTH[name].value(np.full(3, 1 / 3))
