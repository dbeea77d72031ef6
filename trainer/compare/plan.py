"""How many steps a policy may train within a budget that also pays for its signals."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

from policies import Feedback, Policy, Signal, Task
from policies.synthetic import TOKENS_PER_SEQUENCE, make_feedback, make_signals

# A plan this near below its budget is good enough: the last steps are not worth more rehearsals.
_SLACK = 1e-3
# Rehearsals whose cost per step says where to look next; after them the gap is halved.
_GUESSES = 4


class Plan(NamedTuple):
    """How long a policy trains.

    Attributes:
        steps: Optimiser steps.
        cost: Tokens of training, with what signals will cost.
    """

    steps: int
    cost: float


def plan(
    policy: Policy,
    task_of: Callable[[int], Task],
    prices: Mapping[Signal, float],
    budget: float,
) -> Plan:
    """The longest run found whose total cost is within the budget.

    Assumed are that a signal costs the same each time, and that when a policy asks for signals
    does not depend on the losses: it is rehearsed on made-up ones (`measurements`), for the cadence
    may depend on the length of the run. What a run really cost is in its summary; who compares must
    look.

    A policy may ask for much at once when a run is a little longer, as those do that begin no round
    that the run would cut short. Then no length may come near the budget.

    Args:
        policy: The policy.
        task_of: The task of a run of so many steps.
        prices: Tokens of training that one measurement costs.
        budget: Tokens.

    Raises:
        ValueError: The budget does not pay for one step, or the policy does not fit the task.
    """
    most = int(budget // task_of(1).tokens_per_step)
    found, beyond = Plan(0, 0.0), most + 1
    guess, tries = most, 0
    while found.steps + 1 < beyond and found.cost < (1 - _SLACK) * budget:
        cost = total_cost(policy, task_of(guess), prices)
        if cost <= budget:
            found = Plan(guess, cost)
        else:
            beyond = guess
        tries += 1
        by_rate = int(budget * guess / cost)
        guess = by_rate if tries < _GUESSES else (found.steps + beyond) // 2
        guess = min(max(guess, found.steps + 1), beyond - 1)
    if not found.steps:
        raise ValueError(
            "budget_tokens must pay for at least one step and the signals asked for in it, "
            f"got {budget:,.0f}"
        )
    return found


def total_cost(policy: Policy, task: Task, prices: Mapping[Signal, float]) -> float:
    """Tokens of a whole run, with what its signals cost in tokens of training."""
    asked = measurements(policy, task)
    return task.total_tokens + sum(prices[signal] * count for signal, count in asked.items())


def measurements(policy: Policy, task: Task) -> Counter[Signal]:
    """How often a policy asks for each signal in a run, rehearsed on made-up losses.

    Raises:
        ValueError: The policy does not fit the task.
    """
    asked: Counter[Signal] = Counter()
    # A policy that asks for nothing must fit the task all the same.
    state = policy.init(task)
    if not policy.signals:
        return asked
    task = _with_made_up_sequences(task)
    state = policy.init(task)
    waiting: Feedback | None = None
    for step in range(task.total_steps):
        decision = policy.decide(state, step)
        asked.update(decision.signals)
        feedback = make_feedback(task, decision.weights, step)
        if decision.signals:
            answers = make_signals(task, step)
            heard = {signal: answers[signal] for signal in decision.signals}
            feedback = replace(feedback, signals=heard)
        # One step late, as in training.
        if waiting is not None:
            state = policy.update(state, waiting)
        waiting = feedback
    return asked


def _with_made_up_sequences(task: Task) -> Task:
    """The same run with sequences as long as those of made-up feedback, repeated as often."""
    # Enough sequences to hold some of every domain, whatever the batch of the run.
    tokens = 2 * task.num_domains * TOKENS_PER_SEQUENCE
    factor = tokens / task.tokens_per_step
    return replace(task, tokens_per_step=tokens, unique_tokens=task.unique_tokens * factor)
