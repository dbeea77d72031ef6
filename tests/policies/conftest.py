"""A training run in which it is known which domain deserves the largest share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from policies import Policy, Task
from policies.signals import Array
from policies.synthetic import make_feedback, make_task

ByStep = Callable[[int], Array]
PlayBandit = Callable[..., Array]


def uniform_prior(task: Task) -> Task:
    return replace(task, prior=np.full(task.num_domains, 1 / task.num_domains))


@pytest.fixture
def play_bandit() -> PlayBandit:
    """Plays a policy and returns the weights of every step, shape (steps, k)."""

    def play(
        policy: Policy,
        *,
        task: Task | None = None,
        steps: int = 400,
        seed: int = 0,
        level: ByStep | None = None,
        noise: ByStep | None = None,
        fall: ByStep | None = None,
    ) -> Array:
        """Each domain's loss is ``level`` less what its own sequences have taken off it.

        Args:
            policy: The policy to play.
            task: By default 20 domains with a uniform prior, batches of 64.
            steps: Steps to play.
            seed: Seed of the noise.
            level: Loss of each domain at a step without any fall, bits per byte.
            noise: Standard deviation of a sequence's loss at a step, bits per byte.
            fall: What one sequence of a domain takes off its loss at a step, bits per byte.
        """
        task = replace(task or uniform_prior(make_task(20)), seed=seed)
        nothing, path = np.zeros(task.num_domains), []
        fallen, state = nothing, policy.init(task)
        for step in range(steps):
            weights = policy.decide(state, step).weights
            path.append(weights)
            feedback = make_feedback(
                task,
                weights,
                step,
                bits_per_byte=(level(step) if level else nothing + 2) - fallen,
                noise=noise(step) if noise else 0.1,
            )
            state = policy.update(state, feedback)
            fallen = fallen + feedback.counts * (fall(step) if fall else nothing)
        return np.array(path)

    return play
