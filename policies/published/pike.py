"""Mixing by the size and the noise of gradients that do not conflict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from policies.feedback import Feedback
from policies.goals import StepBound
from policies.policy import Decision, Policy, Task
from policies.signals import MAX_LOSS, Array, GradientNoise, LossUnit, Signal, check_unit
from policies.simplex import check_weights, softmax, tilt

# Squared gradients larger than this are faults, smaller ones nothing but rounding.
MAX_SQUARE = 1e18
LEAST_MEAN = 1e-30
# Least part of the mean squared gradient that a domain is taken to have, so as to have a curvature.
LEAST_SQUARE = 1e-3


class PiKEState(NamedTuple):
    """What was measured last, and the mixture ``tilt(prior, exponent)``; each of shape (k,).

    Attributes:
        prior: The mixture to start from.
        exponent: Logarithm of weight over prior, up to a constant.
        squared_norm: Squared norm of each domain's gradient; zero before it is measured.
        variance: Variance of one sequence's gradient; zero before it is measured.
        measured: Whether both were ever measured.
        loss: Discounted mean of the training loss; zero before the first one.
        heard: Whether there was a loss.
        bound: What the mixture is the minimum of; zero where it is none of that.
    """

    prior: Array
    exponent: Array
    squared_norm: Array
    variance: Array
    measured: NDArray[np.bool_]
    loss: Array
    heard: NDArray[np.bool_]
    bound: StepBound


@final
@dataclass(frozen=True, kw_only=True)
class PiKE(Policy):
    """More of the domains with large gradients, less of those with noisy ones.

    Where gradients of domains do not conflict, one step on a batch of b sequences with the mixture
    w changes the loss by at most, up to a constant factor,

        sum_j w_j lambda_j + w_j^2 kappa_j / 2,
        lambda_j = -zeta1 G_j + zeta2 V_j / (2 b),    kappa_j = curvature G_j,

    G_j being the squared norm of domain j's gradient and V_j the variance of one sequence's. Every
    ``update_every`` steps the practical rule steps down the linear part,

        w_j ~ w_j exp(zeta1 G_j - zeta2 V_j / (2 b)),

    and the exact one plays the minimum of the bound, ``w_j = max(0, -(nu + lambda_j) / kappa_j)``
    with nu such that they sum to one (Li et al. 2025, arXiv 2502.06244). With ``tau`` above zero it
    is Balanced-PiKE, which descends ``log sum_j exp(tau L_j) / tau``: losses are weighted by
    ``y_j = tau exp(tau L_j) / sum_i exp(tau L_i)``, hence G_j and V_j by y_j^2.

    The practical rule starts at the prior and is relative to it. The exact one starts there, but
    from its first measurement on the prior only says which domains there are (those above zero).

    The scale of gradients is that of the model and changes during a run, so that the paper tunes
    zeta1 and zeta2 to it. Here G and V are divided by the mean G of the domains unless ``scale`` is
    "raw", which is the published rule; the defaults of zeta1, zeta2 and curvature are ours. The
    exact rule is indifferent to the scale.

    A domain that was not measured keeps its last numbers, and one never measured is treated as the
    mean of the others. The rule does not know how much text a domain has, or what is repeated, and
    takes domains not to harm each other; cumulated, its steps need not come to rest.

    An update asks for the gradient noise: a few backward passes on parts of each domain's text.

    Args:
        variant: "practical" or "exact", as above.
        zeta1: Worth of a large gradient, in [0, 1e6].
        zeta2: Cost of a noisy gradient, in [0, 1e6].
        curvature: Curvature of the bound beside ``zeta1``, positive; for the exact rule only. The
            larger, the closer to ``w_j ~ 1 / G_j``.
        tau: How much a domain with a high loss counts; 0 for plain PiKE. The paper found 1 to 3
            good, 3 best.
        scale: "relative" to the mean squared gradient, or "raw".
        update_every: Steps from one update to the next, T0 in the paper.
        loss_memory: What one step leaves of the weight of past losses, in [0, 1).
        unit: What losses are measured in. The paper's are nats per token; between languages only
            bits per byte compare.
    """

    variant: Literal["practical", "exact"] = "practical"
    zeta1: float = 0.02
    zeta2: float = 0.02
    curvature: float = 0.02
    tau: float = 0.0
    scale: Literal["relative", "raw"] = "relative"
    update_every: int = 100
    loss_memory: float = 0.9
    unit: LossUnit = "nats_per_token"

    def __post_init__(self) -> None:
        if self.variant not in ("practical", "exact"):
            raise ValueError(f"variant must be 'practical' or 'exact', got {self.variant!r}")
        for name in ("zeta1", "zeta2"):
            if not 0 <= getattr(self, name) <= 1e6:
                raise ValueError(f"{name} must be in [0, 1e6], got {getattr(self, name)}")
        if not 1e-6 <= self.curvature <= 1e6:
            raise ValueError(f"curvature must be in [1e-6, 1e6], got {self.curvature}")
        if not 0 <= self.tau <= 1e3:
            raise ValueError(f"tau must be in [0, 1000], got {self.tau}")
        if self.scale not in ("relative", "raw"):
            raise ValueError(f"scale must be 'relative' or 'raw', got {self.scale!r}")
        if self.update_every < 1:
            raise ValueError(f"update_every must be at least 1 step, got {self.update_every}")
        if not 0 <= self.loss_memory < 1:
            raise ValueError(f"loss_memory must be in [0, 1), got {self.loss_memory}")
        check_unit(self.unit)

    @property
    def signals(self) -> frozenset[Signal]:
        return frozenset({Signal.GRADIENT_NOISE})

    def init(self, task: Task) -> PiKEState:
        zeros, never = np.zeros(task.num_domains), np.zeros(task.num_domains, bool)
        prior = check_weights(task.prior, task.names, "prior")
        bound = StepBound(zeros, zeros)
        return PiKEState(prior, zeros, zeros, zeros, never, zeros, never, bound)

    def decide(self, state: PiKEState, step: int) -> Decision:
        due = step % self.update_every == 0
        weights = tilt(state.prior, state.exponent)
        goal = state.bound if state.bound.quadratic.any() else None
        return Decision(weights, self.signals if due else frozenset(), goal)

    def update(self, state: PiKEState, feedback: Feedback) -> PiKEState:
        state = self._hear(state, feedback.training_loss(self.unit))
        if feedback.gradient_noise is None:
            return state
        state = _measure(state, feedback.gradient_noise)
        if not state.measured.any():
            return state
        benefit, squared_norm = self._benefit(state, max(int(feedback.counts.sum()), 1))
        if self.variant == "practical":
            return state._replace(exponent=state.exponent + benefit)
        curvature = self.curvature * np.maximum(squared_norm, LEAST_SQUARE * squared_norm.mean())
        there = (state.prior > 0) & (curvature > 0)
        if not there.any():  # Noise alone: no gradient is known to be longer than zero.
            return state
        best = np.zeros_like(benefit)
        best[there] = minimise_bound(-benefit[there], curvature[there])
        exponent = np.zeros_like(best)
        with np.errstate(divide="ignore"):
            np.subtract(np.log(best), np.log(state.prior), out=exponent, where=state.prior > 0)
        # Domains that are not there are as bad as any: for them alone it would be worst.
        worst = float(curvature[there].max() - benefit[there].min())
        bound = StepBound(np.where(there, -benefit, worst), np.where(there, curvature, 0.0))
        return state._replace(exponent=exponent, bound=bound)

    def diagnostics(self, state: PiKEState) -> Mapping[str, float | Array]:
        return {
            "squared_norm": state.squared_norm,
            "variance": state.variance,
            "loss_weight": self._loss_weight(state),
        }

    def _hear(self, state: PiKEState, loss: Array) -> PiKEState:
        """The state with one step's training losses in it."""
        new = (loss >= 0) & (loss <= MAX_LOSS[self.unit])
        loss = np.where(new, loss, state.loss)
        mean = np.where(state.heard, self.loss_memory * (state.loss - loss) + loss, loss)
        return state._replace(loss=mean, heard=state.heard | new)

    def _loss_weight(self, state: PiKEState) -> Array:
        """Weight y of each domain's loss, shape (k,)."""
        if self.tau == 0:
            return np.ones_like(state.prior)
        return self.tau * softmax(self.tau * _filled(state.loss, state.heard))

    def _benefit(self, state: PiKEState, size: int) -> tuple[Array, Array]:
        """``zeta1 G - zeta2 V / (2 b)`` with b the ``size``, and G not below zero: (k,) each."""
        square = self._loss_weight(state) ** 2
        squared_norm = square * _filled(state.squared_norm, state.measured)
        variance = square * _filled(state.variance, state.measured)
        positive = np.maximum(squared_norm, 0.0)
        benefit: Array = self.zeta1 * squared_norm - self.zeta2 * variance / (2 * size)
        if self.scale == "raw":
            return benefit, positive
        mean = float(positive.mean())
        if mean < LEAST_MEAN:  # Noise alone: there is no scale to compare with.
            return np.zeros_like(benefit), np.zeros_like(positive)
        return benefit / mean, positive / mean


def minimise_bound(slope: Array, curvature: Array) -> Array:
    """The point of the simplex where ``sum_j w_j slope_j + w_j^2 curvature_j / 2`` is least: (k,).

    It is ``max(0, -(nu + slope_j) / curvature_j)``: the domains above zero are those with the least
    slopes, as many as leave their nu above the negative slope of the next.

    Args:
        slope: Finite, shape (k,).
        curvature: Positive, shape (k,).
    """
    slope = slope - slope.min()  # A constant changes nothing but what is lost to rounding.
    order = np.argsort(slope, kind="stable")
    inverse = 1 / curvature[order]
    # If the first m domains are above zero, the bound falls at this rate in each of them.
    rate = (1 + np.cumsum(slope[order] * inverse)) / np.cumsum(inverse)
    number = int(np.count_nonzero(slope[order] < rate))
    weights: Array = np.maximum(0.0, (rate[max(number, 1) - 1] - slope) / curvature)
    return weights / float(weights.sum())


def _measure(state: PiKEState, noise: GradientNoise) -> PiKEState:
    """The state with what could be measured in place of what was measured before."""
    new = (
        (np.abs(noise.squared_norm) < MAX_SQUARE)
        & (noise.variance >= 0)
        & (noise.variance < MAX_SQUARE)
    )
    return state._replace(
        squared_norm=np.where(new, noise.squared_norm, state.squared_norm),
        variance=np.where(new, noise.variance, state.variance),
        measured=state.measured | new,
    )


def _filled(values: Array, known: NDArray[np.bool_]) -> Array:
    """The values, the mean of the known ones where there is none, shape (k,)."""
    if known.all() or not known.any():
        return values
    return np.where(known, values, values[known].mean())
