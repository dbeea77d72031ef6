"""A policy that breaks down in the middle of a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from policies import Decision, Feedback, Policy, Task
from policies.signals import Array


class Prior(NamedTuple):
    weights: Array


@dataclass(frozen=True, kw_only=True)
class Fails(Policy):
    """Plays the prior until it hears of its third step."""

    def init(self, task: Task) -> Prior:
        return Prior(task.prior)

    def decide(self, state: Prior, step: int) -> Decision:
        return Decision(state.weights)

    def update(self, state: Prior, feedback: Feedback) -> Prior:
        if feedback.step == 2:
            raise RuntimeError("broken in the third step")
        return state
