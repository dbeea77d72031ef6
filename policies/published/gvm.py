"""Allocation by gradient noise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from policies.feedback import Feedback
from policies.goals import LeastVariance
from policies.neyman import neyman
from policies.policy import Decision, Policy, Task
from policies.signals import Array, GradientNoise, Signal
from policies.simplex import check_weights

# Larger squared gradients are faults.
MAX_SQUARE = 1e18


class GVMState(NamedTuple):
    """What is known of the gradients, each of shape (k,).

    Attributes:
        prior: The mixture until something is measured.
        target: How much each domain counts in the end.
        square: Discounted mean of the squared deviation of a sequence's gradient.
        measured: Whether it was ever measured.
    """

    prior: Array
    target: Array
    square: Array
    measured: NDArray[np.bool_]


@final
@dataclass(frozen=True, kw_only=True)
class GVM(Policy):
    """As many sequences of each domain as make the gradient of the target most certain.

    The gradient of the target loss ``sum_j target_j L_j``, estimated from n_j sequences of each
    domain, has the least variance for

        n_j ~ target_j sigma_j,

    sigma_j being the deviation of one sequence's gradient: Neyman's allocation (`policies.neyman`),
    with equal costs since sequences are equally long. GVM (Yao et al. 2025, arXiv 2505.02391) does
    this for prompts in reinforcement learning, ``n_i ~ G_i / sqrt(a_i + alpha / a_i^(beta - 1))``
    with G_i the norm of a prompt's gradient and a_i its rate of accepted answers: the same
    allocation with the denominator squared as the cost of a useful sample. Text is always accepted.

    The allocation is not a step from somewhere, so it cannot be relative to the prior: it is the
    prior until something was measured, and from then on ``target_j sigma_j``, with the mean sigma
    for domains never measured. A domain whose prior is zero stays at zero.

    The variance argument wants each sequence weighted by target_j / p_j in the loss. Where the
    trainer does not weigh it, the mixture also moves what is learnt towards noisy domains, whether
    or not there is anything to learn: noisy, badly cleaned text has large gradients.

    An update asks for the gradient noise: a few backward passes on parts of each domain's text.

    Args:
        deviation: "variance" for the deviation about the domain's mean gradient, right where the
            counts of a batch are fixed; "second_moment" for the root mean square of the gradient,
            the G of GVM and right where counts are drawn at random.
        memory: What one measurement leaves of the weight of earlier ones, in [0, 1).
        update_every: Steps from one update to the next.
    """

    deviation: Literal["variance", "second_moment"] = "variance"
    memory: float = 0.5
    update_every: int = 100

    def __post_init__(self) -> None:
        if self.deviation not in ("variance", "second_moment"):
            raise ValueError(
                f"deviation must be 'variance' or 'second_moment', got {self.deviation!r}"
            )
        if not 0 <= self.memory < 1:
            raise ValueError(f"memory must be in [0, 1), got {self.memory}")
        if self.update_every < 1:
            raise ValueError(f"update_every must be at least 1 step, got {self.update_every}")

    @property
    def signals(self) -> frozenset[Signal]:
        return frozenset({Signal.GRADIENT_NOISE})

    def init(self, task: Task) -> GVMState:
        return GVMState(
            prior=check_weights(task.prior, task.names, "prior"),
            target=check_weights(task.target, task.names, "target"),
            square=np.zeros(task.num_domains),
            measured=np.zeros(task.num_domains, bool),
        )

    def decide(self, state: GVMState, step: int) -> Decision:
        due = step % self.update_every == 0
        signals: frozenset[Signal] = self.signals if due else frozenset()
        goal = self._goal(state)
        if goal is None:
            return Decision(state.prior, signals)
        return Decision(neyman(goal.deviation, weight=goal.target), signals, goal)

    def update(self, state: GVMState, feedback: Feedback) -> GVMState:
        if feedback.gradient_noise is None:
            return state
        square = self._squares(feedback.gradient_noise)
        new = np.isfinite(square)
        square = np.where(new, square, state.square)
        kept = self.memory * (state.square - square) + square
        return state._replace(
            square=np.where(state.measured, kept, square), measured=state.measured | new
        )

    def diagnostics(self, state: GVMState) -> Mapping[str, float | Array]:
        return {"deviation": np.sqrt(state.square)}

    def _goal(self, state: GVMState) -> LeastVariance | None:
        """What the allocation makes least; None while nothing is known that counts."""
        target = np.where(state.prior > 0, state.target, 0.0)
        if not (state.measured.any() and target.any()):
            return None
        deviation = np.sqrt(state.square)
        mean = float(deviation[state.measured].mean())
        return LeastVariance(target, np.where(state.measured, deviation, mean))

    def _squares(self, noise: GradientNoise) -> Array:
        """Squared deviation of one sequence's gradient, shape (k,); NaN where it is unusable."""
        # No noise at all is a fault too, and one from which a domain could not come back.
        usable = (noise.variance > 0) & (noise.variance < MAX_SQUARE)
        square = np.where(usable, noise.variance, np.nan)
        if self.deviation == "variance":
            return square
        usable = np.abs(noise.squared_norm) < MAX_SQUARE
        return np.where(usable, square + np.maximum(noise.squared_norm, 0.0), np.nan)
