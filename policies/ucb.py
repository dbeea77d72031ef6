"""Discounted upper confidence bounds over domains."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from policies.discounted import Moments, Summary, absorb, fraction, no_moments, summarise
from policies.drift import drift
from policies.evidence import Scores, shrunken_scores
from policies.feedback import Feedback
from policies.policy import Decision, Policy, Task
from policies.signals import MAX_LOSS, Array
from policies.simplex import check_weights, tilt


class Baseline(NamedTuple):
    """What a domain's sequences used to cost, by the domain's own clock; shapes (k,).

    Attributes:
        number: Discounted number of sequences.
        bits_per_byte: Discounted mean of their loss.
        step: Discounted mean of the steps they were drawn in.
    """

    number: Array
    bits_per_byte: Array
    step: Array


class UCBState(NamedTuple):
    """What has been learnt of the rewards, one entry per domain.

    Attributes:
        prior: The mixture to stay at without evidence.
        reward: Moments of the rewards of sequences.
        elapsed: Mean number of steps from the baseline to a rewarded sequence.
        baseline: What rewards are measured against.
    """

    prior: Array
    reward: Moments
    elapsed: Array
    baseline: Baseline


@final
@dataclass(frozen=True, kw_only=True)
class UCB(Policy):
    """A bandit that prefers domains with a high reward, and those it has neglected.

    Every sequence of domain j earns a reward, measured against the baseline b_j, a discounted mean
    of the domain's earlier losses in bits per byte. The weights of the next batch are

        p_j ~ prior_j exp((score_j + bonus_j) / temperature)
        bonus_j = exploration sqrt(ln(1 + N)) (1 / sqrt(n_j + 1) - 1 / sqrt(N prior_j + 1))

    where n_j is the discounted number of rewarded sequences, N their sum, and score_j the
    standardised mean reward shrunk by how little evidence there is (`evidence.shrunken_scores`).
    Hence no evidence means the prior, and neither the unit of the losses nor a constant added to
    all of them matters. The bonus is the confidence radius of discounted UCB (Garivier and Moulines
    2011, arXiv 0805.3415), less the radius the domain would have if drawn at its prior share:
    neglect below the prior is made up for, the prior itself is not levelled. Sampling in proportion
    to exponentiated upper confidence bounds, with the mean magnitude as the reward, is DUMP (Wang
    et al. 2025, arXiv 2504.09710), which neither discounts counts nor shrinks.

    The baseline ages with the domain's own sequences, not with time: a uniform share of a batch
    discounts it by ``gamma``. Against a baseline that ages with time a domain drawn often would
    fall faster because it is drawn often, and keep its lead whatever it is worth. The price is that
    the baseline of a domain drawn rarely is old, and whatever helps all domains alike has had
    longer to act. So the part of the reward that grows with the steps elapsed since the baseline is
    taken out (`drift.drift`).

    Three weaknesses to know. A training loss that falls on repeated text may be memorisation: set
    a cap on repetition or watch a validation loss. A domain's own loss says nothing of what its
    text does for other domains. And until a domain has been drawn 1 / (1 - gamma) uniform shares,
    its baseline reaches back to the first step, so that early on, while losses fall fast, domains
    with a large prior appear to progress the most.

    Args:
        reward: "progress" is the fall of the training loss below the baseline, "level" the loss
            itself, "magnitude" its distance from the baseline in either direction.
        gamma: What one step leaves of the weight of past rewards, in (0, 1]. 1 / (1 - gamma) steps
            are remembered.
        exploration: Strength of the bonus; 0 for none.
        temperature: Divides score and bonus; the larger, the closer to the prior.
    """

    reward: Literal["progress", "level", "magnitude"] = "progress"
    gamma: float = 0.98
    exploration: float = 1.0
    temperature: float = 1.0

    def __post_init__(self) -> None:
        if self.reward not in ("progress", "level", "magnitude"):
            raise ValueError(
                f"reward must be 'progress', 'level' or 'magnitude', got {self.reward!r}"
            )
        if not 0 < self.gamma <= 1:
            raise ValueError(f"gamma must be in (0, 1], got {self.gamma}")
        if not 0 <= self.exploration <= 1e6:
            raise ValueError(f"exploration must be in [0, 1e6], got {self.exploration}")
        if not 1e-6 <= self.temperature < np.inf:
            raise ValueError(f"temperature must be in [1e-6, inf), got {self.temperature}")

    def init(self, task: Task) -> UCBState:
        zeros = np.zeros(task.num_domains)
        return UCBState(
            prior=check_weights(task.prior, task.names, "prior"),
            reward=no_moments(task.num_domains),
            elapsed=zeros,
            baseline=Baseline(zeros, zeros, zeros),
        )

    def decide(self, state: UCBState, step: int) -> Decision:
        del step
        exponent = (self._scores(state).score + self._bonus(state)) / self.temperature
        return Decision(tilt(state.prior, exponent))

    def update(self, state: UCBState, feedback: Feedback) -> UCBState:
        loss, domain = feedback.sequence_bits_per_byte, feedback.sequence_domain
        use = np.abs(loss) <= MAX_LOSS["bits_per_byte"]
        loss, domain = loss[use], domain[use]
        losses = summarise(domain, loss, feedback.num_domains)
        rewards = self._rewards(state.baseline, losses, domain, loss)
        reward = absorb(state.reward, rewards, self.gamma)
        elapsed = feedback.step - state.baseline.step
        part = fraction(rewards.number, reward.number)
        return UCBState(
            prior=state.prior,
            reward=reward,
            elapsed=state.elapsed + part * (elapsed - state.elapsed),
            baseline=self._advance(state.baseline, losses, feedback),
        )

    def diagnostics(self, state: UCBState) -> Mapping[str, float | Array]:
        scores = self._scores(state)
        return {
            "score": scores.score,
            "bonus": self._bonus(state),
            "reward": state.reward.mean,
            "evidence": scores.strength,
        }

    def _rewards(
        self, baseline: Baseline, losses: Summary, domain: NDArray[np.int64], loss: Array
    ) -> Summary:
        """Rewards of a step's sequences in bits per byte, given their losses."""
        if self.reward == "level":
            return losses
        # The first sequences of a domain have nothing to compare with.
        known = baseline.number > 0
        number = known * losses.number
        if self.reward == "progress":
            mean, scatter = baseline.bits_per_byte - losses.mean, losses.scatter
        else:
            distance = np.abs(baseline.bits_per_byte[domain] - loss)
            _, mean, scatter = summarise(domain, distance, len(number))
        return Summary(number, (number > 0) * mean, known * scatter)

    def _advance(self, baseline: Baseline, losses: Summary, feedback: Feedback) -> Baseline:
        """The baseline with one step's losses in it."""
        size = max(len(feedback.sequence_domain), 1)
        kept = self.gamma ** (losses.number * (feedback.num_domains / size))
        number = kept * baseline.number + losses.number
        part = fraction(losses.number, number)
        return Baseline(
            number=number,
            bits_per_byte=baseline.bits_per_byte + part * (losses.mean - baseline.bits_per_byte),
            step=baseline.step + part * (feedback.step - baseline.step),
        )

    def _scores(self, state: UCBState) -> Scores:
        mean = state.reward.mean
        if self.reward != "level":
            mean = mean - drift(mean, state.elapsed, state.reward.number)
        return shrunken_scores(mean, state.reward)

    def _bonus(self, state: UCBState) -> Array:
        number = state.reward.number
        total = float(number.sum())
        radius: Array = (number + 1) ** -0.5 - (total * state.prior + 1) ** -0.5
        return self.exploration * math.sqrt(math.log1p(total)) * radius
