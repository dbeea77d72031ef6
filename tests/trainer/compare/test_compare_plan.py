"""How long policies may train: plans against real counts, and against brute force."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from every_policy import every_policy

from policies import UCB, Decision, Feedback, Fixed, Policy, Signal, Task
from policies.minimax.minimax_regret import MinimaxRegret
from policies.published.aioli import Aioli
from policies.synthetic import make_task
from trainer.compare.plan import measurements, plan, total_cost

PRICES = dict.fromkeys(Signal, 5000.0)


class Nothing(NamedTuple):
    weights: np.ndarray
    heard: int


@dataclass(frozen=True, kw_only=True)
class AsksOftenInTheEnd(Policy):
    """Asks every ``every`` steps, and in all steps of the last ``end`` of the run."""

    every: int = 4
    end: int = 0

    @property
    def signals(self) -> frozenset[Signal]:
        return frozenset({Signal.VALIDATION_LOSS})

    def init(self, task: Task) -> tuple[Nothing, int]:
        return Nothing(task.prior, -1), task.total_steps

    def decide(self, state: tuple[Nothing, int], step: int) -> Decision:
        known, total = state
        # One step late, as in training.
        assert known.heard == step - 2 or step < 2
        ask = step % self.every == 0 or step >= total - self.end
        return Decision(known.weights, self.signals if ask else frozenset())

    def update(self, state: tuple[Nothing, int], feedback: Feedback) -> tuple[Nothing, int]:
        known, total = state
        return known._replace(heard=feedback.step), total


def task(steps: int) -> Task:
    return make_task(5, total_steps=steps)


def test_signals_are_counted_at_the_steps_that_ask() -> None:
    assert measurements(UCB(), task(20)) == Counter()
    asked = measurements(AsksOftenInTheEnd(every=4), task(10))
    assert asked == {Signal.VALIDATION_LOSS: 3}
    asked = measurements(AsksOftenInTheEnd(every=4, end=3), task(10))
    assert asked == {Signal.VALIDATION_LOSS: 5}
    # A sweep over each of 5 domains of 2 steps, ended by a measurement, and the first of all.
    one_round = Aioli(update_every=100, sweeps=1, interval_steps=2)
    assert measurements(one_round, task(60))[Signal.VALIDATION_LOSS] == 6


def test_the_cost_is_that_of_steps_and_signals() -> None:
    run = task(10)
    expected = 10 * run.tokens_per_step + 3 * 5000
    assert total_cost(AsksOftenInTheEnd(every=4), run, PRICES) == expected


def test_without_signals_the_budget_is_all_for_training() -> None:
    step = task(1).tokens_per_step
    assert plan(UCB(), task, PRICES, 100.9 * step).steps == 100


def test_no_policy_lets_losses_decide_when_it_asks(tmp_path: Path) -> None:
    # Another seed and prior: other batches, other losses, other mixtures.
    one, other = (make_task(3, total_steps=16, seed=seed) for seed in (0, 9))
    for name, policy in every_policy(one, tmp_path).items():
        asked = measurements(policy, one)
        assert asked == measurements(policy, replace(one, prior=other.prior, seed=9)), name
        assert set(asked) == policy.signals, name


@pytest.mark.parametrize("end", [0, 10])
@pytest.mark.parametrize("steps", [40.0, 75.5])
def test_plans_are_as_long_as_the_budget_allows(end: int, steps: float) -> None:
    policy, budget = AsksOftenInTheEnd(every=3, end=end), steps * task(1).tokens_per_step
    lengths = range(1, int(steps) + 1)
    costs = {length: total_cost(policy, task(length), PRICES) for length in lengths}
    longest = max(length for length, cost in costs.items() if cost <= budget)
    found = plan(policy, task, PRICES, budget)
    # Within a thousandth of the budget no longer run is looked for.
    assert found.cost == costs[found.steps] <= budget
    assert found.steps == longest or found.cost >= 0.999 * budget


def test_the_small_batches_of_a_run_do_not_change_what_is_asked() -> None:
    policy = MinimaxRegret(block=0.05)
    small = replace(task(200), tokens_per_step=64)
    assert measurements(policy, small) == measurements(policy, task(200))
    assert measurements(policy, small)[Signal.VALIDATION_LOSS] >= 19


def test_a_budget_that_pays_for_no_step_is_refused() -> None:
    with pytest.raises(ValueError, match="budget_tokens must pay for at least one step"):
        plan(UCB(), task, PRICES, 10.0)
    with pytest.raises(ValueError, match="must pay for at least one step and"):
        plan(AsksOftenInTheEnd(), task, dict.fromkeys(Signal, 1e9), 1e6)


def test_a_policy_must_fit_the_task_before_it_trains() -> None:
    with pytest.raises(ValueError, match="tlh"):
        plan(Fixed(weights={"tlh": 1.0}), task, PRICES, 1e6)
