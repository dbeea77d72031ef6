"""Domain reweighting with generalisation estimation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from policies.feedback import Feedback
from policies.mirror import mirror_step
from policies.policy import Decision, Policy, Task
from policies.published.clipped_gradients import (
    MAX_NORM,
    TINY,
    Clipped,
    as_they_are,
    clip_gradients,
)
from policies.signals import Array, GradientSketches, Signal
from policies.simplex import check_weights


class DoGEState(NamedTuple):
    """The mixture and what moves it.

    Attributes:
        weights: The mixture in force, shape (k,).
        average: Mean of the mixtures after each update, shape (k,): what DoGE gives to a later run.
        updates: Number of updates so far.
        score: Latest score of each domain, shape (k,).
        target: How much each domain counts in the end, shape (k,).
        train: Latest clipped gradient of each domain, shape (k, d); (k, 0) where none are kept.
        aim: Latest clipped gradient of the target, shape (d,); (0,) where none is kept.
    """

    weights: Array
    average: Array
    updates: int
    score: Array
    target: Array
    train: Array
    aim: Array


@final
@dataclass(frozen=True, kw_only=True)
class DoGE(Policy):
    """More of the domains whose gradient points where that of the target points.

    With g_j the gradient of domain j's mean loss, no longer than ``max_norm``, g the gradient of
    the target and lr the learning rate,

        W_j = <g_j, g>,    s_j = clip(lr W_j / mean_i |g_i|, lr min_score, lr max_score),
        p_j ~ p_j exp(s_j / mu),    then    p_j <- (1 - smoothing) p_j + smoothing / k

    (Fan et al. 2024, arXiv 2310.15393). It starts at the prior. What the paper wants of the run is
    the average of p, as the fixed mixture of a later run: ``average`` in the state and diagnostics.
    The paper weighs the gradients of uniformly sampled domains by p; here p is the sampling
    mixture, and the gradients that come with it are the same in expectation.

    The paper's equation has ``s_j = lr W_j`` alone (``score="plain"``); dividing by the mean norm
    and clipping are the released code's (Olivia-fsm/DoGE), for which its constants were chosen.
    Of a domain that is missing from the batch that code keeps the old gradient (``absent="stale"``)
    or, where a random part of the domains is drawn for each update, the old score (``"score"``; it
    then clips no gradient, which ``max_norm=1e9`` does). Here, as in the port in Aioli's code, its
    gradient is zero by default, in the mean norm of the domains trained on, too. Left out as an
    accident of the code: gradients that run on from one domain to the next when they are made
    parameter by parameter.

    Gradients are sketches, so that norms and products are right only in expectation. Inner products
    are those of plain descent, not of the optimiser in use; a negative one counts as nothing; the
    noise of a gradient is ignored; and with few sequences of a domain in a batch it prevails.

    Each update asks for the gradient alignment: a backward pass per domain, and one for the target.

    Args:
        mu: Divides the score, in [1e-6, inf). 0.01 in the released configuration.
        target: Where g comes from. "train" is the sum of the batch's own gradients weighted by k
            times the task's target (all to all, hence the plain sum under a uniform target);
            "validation" the gradient of held-out loss under the task's target, clipped as one.
        score: "normalised" or "plain", as above. "plain" ignores the bounds of the score.
        absent: What stands for a domain that was not measured: "zero" and "stale", a gradient of
            zero or its last one; "score" its last score, at first 1e-6, the mean norm then being
            that of the others. Only "stale" keeps (and copies, in each update) all gradients.
        min_score: Lower bound of the score, in units of the learning rate.
        max_score: Upper bound of the score, in units of the learning rate.
        max_norm: Longest gradient, positive.
        smoothing: Part of the mixture shared evenly, in [0, 1).
        update_every: Steps from one update to the next; the paper updates in every step.
        sketch_size: Length d of the sketches, at least 1; needed to keep stale gradients only.
    """

    mu: float = 0.01
    target: Literal["train", "validation"] = "train"
    score: Literal["normalised", "plain"] = "normalised"
    absent: Literal["zero", "stale", "score"] = "zero"
    min_score: float = 0.0
    max_score: float = 5.0
    max_norm: float = 5.0
    smoothing: float = 0.0
    update_every: int = 1
    sketch_size: int = 1024

    def __post_init__(self) -> None:
        if not 1e-6 <= self.mu < np.inf:
            raise ValueError(f"mu must be in [1e-6, inf), got {self.mu}")
        if self.target not in ("train", "validation"):
            raise ValueError(f"target must be 'train' or 'validation', got {self.target!r}")
        if self.score not in ("normalised", "plain"):
            raise ValueError(f"score must be 'normalised' or 'plain', got {self.score!r}")
        if self.absent not in ("zero", "stale", "score"):
            raise ValueError(f"absent must be 'zero', 'stale' or 'score', got {self.absent!r}")
        if not -1e6 <= self.min_score < self.max_score <= 1e6:
            raise ValueError(
                "min_score must be below max_score, both within 1e6 of zero, "
                f"got {self.min_score} and {self.max_score}"
            )
        if not 0 < self.max_norm <= MAX_NORM:
            raise ValueError(f"max_norm must be in (0, {MAX_NORM:g}], got {self.max_norm}")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing must be in [0, 1), got {self.smoothing}")
        if self.update_every < 1:
            raise ValueError(f"update_every must be at least 1 step, got {self.update_every}")
        if self.sketch_size < 1:
            raise ValueError(f"sketch_size must be at least 1, got {self.sketch_size}")

    @property
    def signals(self) -> frozenset[Signal]:
        return frozenset({Signal.GRADIENT_ALIGNMENT})

    def init(self, task: Task) -> DoGEState:
        prior = check_weights(task.prior, task.names, "prior")
        kept = self.sketch_size if self.absent == "stale" else 0
        return DoGEState(
            weights=prior,
            average=prior,
            updates=0,
            score=np.full(task.num_domains, TINY if self.absent == "score" else 0.0),
            target=check_weights(task.target, task.names, "target"),
            train=np.zeros((task.num_domains, kept)),
            aim=np.zeros(kept),
        )

    def decide(self, state: DoGEState, step: int) -> Decision:
        due = step % self.update_every == 0
        return Decision(state.weights, self.signals if due else frozenset())

    def update(self, state: DoGEState, feedback: Feedback) -> DoGEState:
        gradients = feedback.gradients
        if gradients is None:
            return state
        train = clip_gradients(gradients.train, self.max_norm)
        # A target that is not trained on may have gradients, too.
        trained = state.weights > 0
        measured = train.measured & trained
        if self.absent == "stale":
            train = as_they_are(train.over(self._kept(state, train.gradients)))
        aim, aimed = self._aim(state, train, gradients)
        if not (aimed and measured.any()):
            return state
        keeps_score = self.absent == "score"
        counted = measured if keeps_score else trained
        score = self._scores(train, aim, counted, feedback.learning_rate)
        if keeps_score:
            score = np.where(measured, score, state.score)
        weights = mirror_step(state.weights, score / self.mu, self.smoothing)
        updates = state.updates + 1
        stale = self.absent == "stale"
        return DoGEState(
            weights=weights,
            average=state.average + (weights - state.average) / updates,
            updates=updates,
            score=score,
            target=state.target,
            train=train.gradients if stale else state.train,
            aim=aim if stale else state.aim,
        )

    def diagnostics(self, state: DoGEState) -> Mapping[str, float | Array]:
        return {"average": state.average, "score": state.score}

    def _kept(self, state: DoGEState, train: Array) -> Array:
        if train.shape != state.train.shape:
            raise ValueError(
                "sketch_size must be the length of the gradient sketches, "
                f"{train.shape[1]}, got {self.sketch_size}"
            )
        return state.train

    def _aim(
        self, state: DoGEState, train: Clipped, gradients: GradientSketches
    ) -> tuple[Array, bool]:
        """Gradient of the target, shape (d,), and whether there is one."""
        if self.target == "train":
            return train.total(len(train.norm) * state.target), True
        validation = clip_gradients(gradients.validation, MAX_NORM)
        part = np.where(validation.measured, state.target, 0.0)
        total = float(part.sum())
        if total > 0:
            mean = validation.total(part) / total
            return clip_gradients(mean[None], self.max_norm).clipped()[0], True
        return state.aim, self.absent == "stale"

    def _scores(
        self, train: Clipped, aim: Array, counted: NDArray[np.bool_], learning_rate: float
    ) -> Array:
        """Score of each domain, shape (k,); the mean norm is that of the domains that count."""
        product = train.products(aim)
        if self.score == "plain":
            return learning_rate * product
        mean_norm = float(train.norm[counted].mean())
        return alignment_scores(
            product, mean_norm, learning_rate, low=self.min_score, high=self.max_score
        )


def alignment_scores(
    product: Array, mean_norm: float, learning_rate: float, *, low: float, high: float
) -> Array:
    """``clip(lr <g_j, g> / mean_i |g_i|, lr low, lr high)``, shape (k,).

    Args:
        product: Inner product of each domain's gradient with that of the target, shape (k,).
        mean_norm: Mean length of the domains' gradients.
        learning_rate: The optimiser's learning rate, lr.
        low: Lower bound, in units of the learning rate.
        high: Upper bound, in units of the learning rate.
    """
    score = learning_rate * product / (mean_norm + TINY)
    return np.clip(score, learning_rate * low, learning_rate * high)
