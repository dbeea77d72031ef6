"""Online data mixing: an adversarial bandit whose reward is the training loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, final, get_args

import numpy as np

from policies.feedback import Feedback
from policies.held_out import held_out_loss
from policies.policy import Decision, Policy, Task
from policies.published.training_loss import domain_losses
from policies.signals import Array, LossUnit, Signal, check_unit
from policies.simplex import check_weights, tilt

Variant: TypeAlias = Literal["paper", "exp3", "released", "released_single", "ema", "validation"]

# A domain drawn with a smaller probability than this counts as if it had been drawn with this one.
SMALLEST_PROPENSITY = 1e-12


class ODMState(NamedTuple):
    """What has been learnt of the losses.

    Attributes:
        prior: The mixture of the warm-up and of exploration, shape (k,).
        reward: Estimated reward of each domain, shape (k,); of the variant "ema" what the mixture
            is in proportion to.
        rate: Exploration rate after the last change, which the next exponent takes.
        weights: The mixture in force, shape (k,).
        warmup_steps: Steps before the first change.
    """

    prior: Array
    reward: Array
    rate: float
    weights: Array
    warmup_steps: int


@final
@dataclass(frozen=True, kw_only=True)
class ODM(Policy):
    """EXP3 over domains, rewarded by the training loss: what is not yet known is drawn more.

    After the warm-up, at step t counted from 1, with L_j the mean training loss of domain j in the
    batch and p the mixture it was drawn with,

        R_j <- a R_j + (1 - a) L_j / p_j                  of each domain that was drawn
        e_t = min(1/k, sqrt(ln k / (k t)))
        p_j <- (1 - k e_t) q_j exp(e_s R_j) / sum_i q_i exp(e_s R_i) + k e_t q_j

    (Albalak et al. 2023, arXiv 2312.02406). s is the step of the change before, and e_s = 1/k at
    the first one. q is the prior; the paper's is uniform. Until t = k ln k the rate is 1/k, so that
    the mixture is still the prior. A batch of several domains rewards each of them. What happens
    during the warm-up, and between changes if ``update_every`` is not one, teaches nothing.

    The released code (alon-albalak/online-data-mixing) has several rules. Its EXP3 adds up,
    R_j <- R_j + (L_j / 10) / p_j. The one its authors used for their results, "released" here, is

        R_j <- a R_j + (1 - a) exp(L_j)
        p_j <- (1 - k e_t) q_j R_j / sum_i q_i R_i + k e_t q_j

    which draws in proportion to a moving average of perplexity: it has neither importance weights
    nor an exponent. A domain not drawn since the warm-up is left with the exploration share alone.
    Told of one domain at a time, the same class puts that R into the exponent of EXP3 after all
    ("released_single", here for any number of domains). Its two other rules are

        p_j ~ R_j <- (1 - 2 / (t + 1)) R_j + 2 / (t + 1) L_j              "ema"
        R_j <- R_j + (L_j - min_i L_i) / (max_i L_i - min_i L_i)          "validation"

    the former from R = q (of any sum in that code, of one here) and without exploration, losses and
    shares averaged in one variable; the latter with the mixture of EXP3, from held-out losses
    measured before each change.

    The reward is the level of the loss and not what can be learnt: text that cannot be predicted
    is drawn most, and between languages the one with the coarsest tokens, unless losses are taken
    in bits per byte. A loss above 100 in its unit counts as a fault and is left out.

    Args:
        variant: "paper" for the moving average of importance-weighted losses, "exp3" for the
            released sum of them, "released" for the moving average of perplexities, and
            "released_single", "ema" and "validation" as above.
        smoothing: a above: what one change leaves of the earlier estimate, in [0, 1). "exp3", "ema"
            and "validation" do not use it.
        warmup: Part of the run's steps that is spent at the prior, in [0, 1].
        update_every: Steps from one change to the next.
        unit: Of the losses; the paper's are nats per token.
    """

    variant: Variant = "paper"
    smoothing: float = 0.5
    warmup: float = 0.02
    update_every: int = 1
    unit: LossUnit = "nats_per_token"

    def __post_init__(self) -> None:
        if self.variant not in get_args(Variant):
            known = ", ".join(get_args(Variant))
            raise ValueError(f"variant must be one of {known}, got {self.variant!r}")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing must be in [0, 1), got {self.smoothing}")
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup must be a part of the run in [0, 1], got {self.warmup}")
        if self.update_every < 1:
            raise ValueError(f"update_every must be at least 1 step, got {self.update_every}")
        check_unit(self.unit)

    @property
    def signals(self) -> frozenset[Signal]:
        return frozenset({Signal.VALIDATION_LOSS} if self.variant == "validation" else ())

    def init(self, task: Task) -> ODMState:
        prior = check_weights(task.prior, task.names, "prior")
        return ODMState(
            prior=prior,
            reward=prior if self.variant == "ema" else np.zeros(task.num_domains),
            rate=1 / task.num_domains,
            weights=prior,
            warmup_steps=round(self.warmup * task.total_steps),
        )

    def decide(self, state: ODMState, step: int) -> Decision:
        due = self._changes(state, step)
        return Decision(state.weights, self.signals if due else frozenset())

    def update(self, state: ODMState, feedback: Feedback) -> ODMState:
        if not self._changes(state, feedback.step):
            return state
        time, held_out = feedback.step + 1, self.variant == "validation"
        loss = (held_out_loss if held_out else domain_losses)(feedback, self.unit)
        reward = np.where(np.isnan(loss), state.reward, self._reward(state, feedback, loss))
        rate = exploration_rate(len(reward), time)
        weights = self._weights(state, reward, rate)
        return state._replace(reward=reward, rate=rate, weights=weights)

    def diagnostics(self, state: ODMState) -> Mapping[str, float | Array]:
        exploration = 0.0 if self.variant == "ema" else state.rate * len(state.reward)
        return {"reward": state.reward, "exploration": exploration}

    def _changes(self, state: ODMState, step: int) -> bool:
        """Whether the batch of this step, counted from 0, is learnt from."""
        return step >= state.warmup_steps and (step + 1) % self.update_every == 0

    def _reward(self, state: ODMState, feedback: Feedback, loss: Array) -> Array:
        """The estimate after one batch, shape (k,); NaN where the loss is."""
        if self.variant == "validation":
            return state.reward + ranged(loss)
        if self.variant == "ema":
            new = 2 / (feedback.step + 2)
            return new * loss + (1 - new) * state.reward
        if self.variant in ("released", "released_single"):
            return self.smoothing * state.reward + (1 - self.smoothing) * np.exp(loss)
        weighted = loss / np.maximum(feedback.weights, SMALLEST_PROPENSITY)
        if self.variant == "exp3":
            return state.reward + weighted / 10
        return self.smoothing * state.reward + (1 - self.smoothing) * weighted

    def _weights(self, state: ODMState, reward: Array, rate: float) -> Array:
        """The mixture that an estimate leads to, shape (k,)."""
        if self.variant == "ema":
            return proportional(np.where(state.prior > 0, reward, 0.0), state.prior)
        if self.variant == "released":
            return explore(state.prior, proportional(state.prior * reward, state.prior), rate)
        return explore(state.prior, tilt(state.prior, state.rate * reward), rate)


def exploration_rate(num_domains: int, time: int) -> float:
    """EXP3's exploration rate per domain at a step counted from 1."""
    return min(1 / num_domains, float(np.sqrt(np.log(num_domains) / (num_domains * time))))


def ranged(loss: Array) -> Array:
    """Losses from zero, the lowest, to one, the highest, shape (k,); zero if they are all alike."""
    known = loss[~np.isnan(loss)]
    if not len(known) or known.min() == known.max():
        return 0 * loss
    scaled: Array = (loss - known.min()) / (known.max() - known.min())
    return scaled


def proportional(amount: Array, otherwise: Array) -> Array:
    """Shares in proportion to amounts, shape (k,); the other ones while all amounts are zero."""
    total = float(amount.sum())
    return amount / total if total > 0 else otherwise


def explore(prior: Array, share: Array, rate: float) -> Array:
    """The shares, mixed with the prior at this rate per domain and scaled to sum to one: (k,)."""
    part = len(prior) * rate
    mixture = (1 - part) * share + part * prior
    weights: Array = mixture / float(mixture.sum())
    return weights
