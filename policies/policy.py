"""The plug-in interface: a policy turns feedback from training into the weights of the next batch.

Settings are immutable, state is data, functions are pure. A policy is a frozen dataclass whose
fields are its settings; whatever changes lives in its state, a NamedTuple of arrays, which the
trainer owns, stores in checkpoints and hands back. Randomness must be a function of the task's seed
and the step, so that there is no generator to save.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import numpy as np

from policies.feedback import Feedback
from policies.goals import Goal
from policies.signals import Array, Signal
from policies.simplex import check_weights

State: TypeAlias = Any
"""A NamedTuple whose fields are numpy arrays, Python numbers, or such NamedTuples again.

Fields, shapes and number types stay what they were before the first step."""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is known before training starts. All arrays have shape (k,), one entry per domain.

    Attributes:
        names: Domain names; their order is the order of every array.
        unique_tokens: Tokens of one reading of each domain's training split: an epoch.
        bytes_per_token: UTF-8 bytes behind a token of each domain, on average.
        prior: The mixture a learning policy starts from and stays at without evidence.
        target: How much each domain counts in the end; uniform unless the user says otherwise.
        total_steps: Optimiser steps of the whole run.
        tokens_per_step: Tokens of one global batch.
        seed: Seed of all of a policy's randomness.
    """

    names: tuple[str, ...]
    unique_tokens: Array
    bytes_per_token: Array
    prior: Array
    target: Array
    total_steps: int
    tokens_per_step: int
    seed: int = 0

    def __post_init__(self) -> None:
        for field in ("unique_tokens", "bytes_per_token", "prior", "target"):
            shape = getattr(self, field).shape
            if shape != (len(self.names),):
                raise ValueError(f"{field} must have shape ({len(self.names)},), got {shape}")
        if len(set(self.names)) != len(self.names):
            raise ValueError("names must be different from each other")
        if not (np.isfinite(self.unique_tokens) & (self.unique_tokens > 0)).all():
            raise ValueError("unique_tokens must be positive and finite: no text, no domain")
        check_weights(self.prior, self.names, "prior")
        check_weights(self.target, self.names, "target")

    @property
    def num_domains(self) -> int:
        return len(self.names)

    @property
    def total_tokens(self) -> int:
        """Tokens of the whole run."""
        return self.total_steps * self.tokens_per_step


class Decision(NamedTuple):
    """What a policy decides for a step.

    Attributes:
        weights: The mixture of the next batch, shape (k,).
        signals: The signals to measure after it.
        goal: What the weights are the optimum of over all mixtures, if they are. Where constraints
            keep a run from the weights, the best mixture by this goal may take their place.
    """

    weights: Array
    signals: frozenset[Signal] = frozenset()
    goal: Goal | None = None


@dataclass(frozen=True, kw_only=True)
class Policy(ABC):
    """A rule that decides how much of each domain the next batch holds.

    Subclasses add settings as fields with defaults and check them in ``__post_init__``. A policy
    answers with a distribution, never with a single domain, and leaves floors, caps and groups to
    others. It must accept any number of domains from one up, and losses that are NaN.
    """

    @property
    def signals(self) -> frozenset[Signal]:
        """Every signal this policy may ever ask for, so that a missing one is refused at start."""
        return frozenset()

    @abstractmethod
    def init(self, task: Task) -> State:
        """The state before the first step.

        Raises:
            ValueError: The settings do not fit the task.
        """

    @abstractmethod
    def decide(self, state: State, step: int) -> Decision:
        """The mixture for ``step``, counted from 0. Pure: the same state gives the same answer."""

    def update(self, state: State, feedback: Feedback) -> State:
        """The state after hearing what a step's batch did. Pure: ``state`` is left as it was.

        Steps arrive in order and once each, but may arrive one step late.
        """
        del feedback  # A policy that does not learn has nothing to hear.
        return state

    def diagnostics(self, state: State) -> Mapping[str, float | Array]:
        """What a dashboard should show of the state.

        Numbers; arrays of shape (k,), one number per domain; or matrices of shape (k, k) between
        domains, whose rows are the domains evaluated and whose columns those trained on.
        """
        del state
        return {}
