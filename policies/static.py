"""The common part of policies whose mixture never changes."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import NamedTuple

from policies.policy import Decision, Policy, Task
from policies.signals import Array


class StaticState(NamedTuple):
    """A mixture, shape (k,)."""

    weights: Array


@dataclass(frozen=True, kw_only=True)
class Static(Policy):
    """One mixture for the whole run, computed from the task before the first step."""

    @abstractmethod
    def mixture(self, task: Task) -> Array:
        """The mixture of every step, shape (k,)."""

    def init(self, task: Task) -> StaticState:
        return StaticState(self.mixture(task))

    def decide(self, state: StaticState, step: int) -> Decision:
        del step
        return Decision(state.weights)
