"""Online data mixing: an adversarial bandit whose reward is the training loss."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import numpy as np

from policies.feedback import Feedback
from policies.policy import Decision, Policy, Task
from policies.published.training_loss import domain_losses
from policies.signals import Array, LossUnit, check_unit
from policies.simplex import check_weights, tilt

# A domain drawn with a smaller probability than this counts as if it had been drawn with this one.
SMALLEST_PROPENSITY = 1e-12


class ODMState(NamedTuple):
    """What has been learnt of the losses.

    Attributes:
        prior: The mixture of the warm-up and of exploration, shape (k,).
        reward: Estimated reward of each domain, shape (k,).
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

    The released code has two rules. Its EXP3 adds up, R_j <- R_j + (L_j / 10) / p_j. The one its
    authors used for their results, "released" here, is

        R_j <- a R_j + (1 - a) exp(L_j)
        p_j <- (1 - k e_t) q_j R_j / sum_i q_i R_i + k e_t q_j

    which draws in proportion to a moving average of perplexity: it has neither importance weights
    nor an exponent. A domain not drawn since the warm-up is left with the exploration share alone.

    The reward is the level of the loss and not what can be learnt: text that cannot be predicted
    is drawn most, and between languages the one with the coarsest tokens, unless losses are taken
    in bits per byte. A loss above 100 in its unit counts as a fault and is left out.

    Args:
        variant: "paper" for the moving average of importance-weighted losses, "exp3" for the
            released sum of them, "released" for the moving average of perplexities.
        smoothing: a above: what one change leaves of the earlier estimate, in [0, 1). "exp3" does
            not use it.
        warmup: Part of the run's steps that is spent at the prior, in [0, 1].
        update_every: Steps from one change to the next.
        unit: Of the losses; the paper's are nats per token.
    """

    variant: Literal["paper", "exp3", "released"] = "paper"
    smoothing: float = 0.5
    warmup: float = 0.02
    update_every: int = 1
    unit: LossUnit = "nats_per_token"

    def __post_init__(self) -> None:
        if self.variant not in ("paper", "exp3", "released"):
            raise ValueError(f"variant must be 'paper', 'exp3' or 'released', got {self.variant!r}")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing must be in [0, 1), got {self.smoothing}")
        if not 0 <= self.warmup <= 1:
            raise ValueError(f"warmup must be a part of the run in [0, 1], got {self.warmup}")
        if self.update_every < 1:
            raise ValueError(f"update_every must be at least 1 step, got {self.update_every}")
        check_unit(self.unit)

    def init(self, task: Task) -> ODMState:
        prior = check_weights(task.prior, task.names, "prior")
        return ODMState(
            prior=prior,
            reward=np.zeros(task.num_domains),
            rate=1 / task.num_domains,
            weights=prior,
            warmup_steps=round(self.warmup * task.total_steps),
        )

    def decide(self, state: ODMState, step: int) -> Decision:
        del step
        return Decision(state.weights)

    def update(self, state: ODMState, feedback: Feedback) -> ODMState:
        time = feedback.step + 1
        if time <= state.warmup_steps or time % self.update_every:
            return state
        loss = domain_losses(feedback, self.unit)
        reward = np.where(np.isnan(loss), state.reward, self._reward(state, feedback, loss))
        rate = exploration_rate(len(reward), time)
        if self.variant == "released":
            share = proportional(state.prior, reward)
        else:
            share = tilt(state.prior, state.rate * reward)
        return state._replace(reward=reward, rate=rate, weights=explore(state.prior, share, rate))

    def diagnostics(self, state: ODMState) -> Mapping[str, float | Array]:
        return {"reward": state.reward, "exploration": state.rate * len(state.reward)}

    def _reward(self, state: ODMState, feedback: Feedback, loss: Array) -> Array:
        """The estimate after one batch, shape (k,); NaN where the loss is."""
        if self.variant == "released":
            return self.smoothing * state.reward + (1 - self.smoothing) * np.exp(loss)
        weighted = loss / np.maximum(feedback.weights, SMALLEST_PROPENSITY)
        if self.variant == "exp3":
            return state.reward + weighted / 10
        return self.smoothing * state.reward + (1 - self.smoothing) * weighted


def exploration_rate(num_domains: int, time: int) -> float:
    """EXP3's exploration rate per domain at a step counted from 1."""
    return min(1 / num_domains, float(np.sqrt(np.log(num_domains) / (num_domains * time))))


def proportional(prior: Array, reward: Array) -> Array:
    """Shares in proportion to prior and reward, shape (k,); the prior while nothing is rewarded."""
    product = prior * reward
    total = float(product.sum())
    return product / total if total > 0 else prior


def explore(prior: Array, share: Array, rate: float) -> Array:
    """The shares, mixed with the prior at this rate per domain and scaled to sum to one: (k,)."""
    part = len(prior) * rate
    mixture = (1 - part) * share + part * prior
    weights: Array = mixture / float(mixture.sum())
    return weights
