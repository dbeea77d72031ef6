"""Upper confidence bounds on the size of a domain's advantages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from policies.discounted import mean_by_domain
from policies.feedback import Feedback
from policies.policy import Decision, Policy, Task
from policies.published.training_loss import sequence_losses
from policies.signals import Array, LossUnit, check_unit
from policies.simplex import check_weights, tilt


class Window(NamedTuple):
    """The last advantages of each domain.

    Attributes:
        size: Their magnitudes, shape (k, w); domain j's sample number s is in column s modulo w.
        number: Samples of each domain ever seen, shape (k,).
    """

    size: Array
    number: NDArray[np.int64]


class DUMPState(NamedTuple):
    """What has been learnt of the advantages.

    Attributes:
        prior: The mixture to stay at without evidence, shape (k,).
        window: The last advantages of each domain.
        baseline: Mean loss of each domain's earlier sequences, shape (k,).
        heard: How many sequences the baseline averages, shape (k,).
    """

    prior: Array
    window: Window
    baseline: Array
    heard: Array


@final
@dataclass(frozen=True, kw_only=True)
class DUMP(Policy):
    """A bandit that prefers domains whose samples have large advantages.

    With m_j the mean magnitude of the last ``window`` advantages of domain j, n_j the number of its
    samples so far and N their sum,

        score_j = m_j + exploration sqrt(2 ln(N + 1) / (n_j + 1))
        p_j ~ prior_j exp(score_j / temperature)

    (Wang et al. 2025, arXiv 2504.09710, where the prior is uniform). The numbers n_j never forget,
    the window does.

    The rule was made for reinforcement learning, where a sample's advantage is its reward within a
    group of answers to one question. In pretraining, the advantage of a sequence is here its fall
    below what its domain used to cost, ``baseline_j - loss``. The baseline is the mean loss of the
    domain's sequences before the batch, of about the last ``window`` of them; the first sequences
    of a domain have nothing to compare with and only begin the baseline. The magnitude is taken
    sample by sample as published, so that a domain whose texts differ much from one another has
    large advantages even when nothing is learnt from it.

    A temperature of 0.1 beside a bonus of order one means that early on almost all the weight goes
    to whichever domain has been drawn least, however small its prior, and that exploration is over
    once every domain has some thousands of samples. `UCB` is a rule of this kind made for
    pretraining.

    Args:
        window: Samples of each domain that are remembered.
        exploration: Strength of the bonus; 0 for none.
        temperature: Divides the score; the larger, the closer to the prior.
        unit: Of the losses the advantages are made of.
    """

    window: int = 300
    exploration: float = 1.0
    temperature: float = 0.1
    unit: LossUnit = "nats_per_token"

    def __post_init__(self) -> None:
        if self.window < 1:
            raise ValueError(f"window must be at least 1 sample, got {self.window}")
        if not 0 <= self.exploration <= 1e6:
            raise ValueError(f"exploration must be in [0, 1e6], got {self.exploration}")
        if not 1e-6 <= self.temperature < np.inf:
            raise ValueError(f"temperature must be in [1e-6, inf), got {self.temperature}")
        check_unit(self.unit)

    def init(self, task: Task) -> DUMPState:
        return DUMPState(
            prior=check_weights(task.prior, task.names, "prior"),
            window=Window(
                size=np.zeros((task.num_domains, self.window)),
                number=np.zeros(task.num_domains, dtype=np.int64),
            ),
            baseline=np.zeros(task.num_domains),
            heard=np.zeros(task.num_domains),
        )

    def decide(self, state: DUMPState, step: int) -> Decision:
        del step
        score = mean_size(state.window) + self._bonus(state.window)
        return Decision(tilt(state.prior, score / self.temperature))

    def update(self, state: DUMPState, feedback: Feedback) -> DUMPState:
        domain, loss = sequence_losses(feedback, self.unit)
        number, mean = mean_by_domain(domain, loss, feedback.num_domains)
        heard = np.minimum(state.heard + number, self.window)
        part = np.minimum(number / np.maximum(heard, 1.0), 1.0)
        compare = state.heard[domain] > 0
        advantage = state.baseline[domain] - loss
        return DUMPState(
            prior=state.prior,
            window=absorb(state.window, domain[compare], advantage[compare]),
            baseline=state.baseline + part * (mean - state.baseline),
            heard=heard,
        )

    def diagnostics(self, state: DUMPState) -> Mapping[str, float | Array]:
        return {
            "advantage": mean_size(state.window),
            "bonus": self._bonus(state.window),
            "samples": state.window.number.astype(np.float64),
        }

    def _bonus(self, window: Window) -> Array:
        total = max(float(window.number.sum()), 1.0)
        bonus: Array = self.exploration * np.sqrt(2 * np.log(total + 1) / (window.number + 1))
        return bonus


def absorb(window: Window, domain: NDArray[np.int64], advantages: Array) -> Window:
    """The window after more advantages.

    Args:
        window: The advantages so far; left as it is.
        domain: Domain of each new one, shape (n,); those of one domain in the order they came.
        advantages: The new ones, finite, shape (n,).
    """
    size, number = window.size.copy(), np.bincount(domain, minlength=len(window.number))
    length = size.shape[1]
    order = np.argsort(domain, kind="stable")
    domain, advantages = domain[order], advantages[order]
    place = np.arange(len(domain)) - (np.cumsum(number) - number)[domain]
    last = place >= number[domain] - length  # Of a block longer than the window, its end stays.
    domain, place = domain[last], place[last]
    size[domain, (window.number[domain] + place) % length] = np.abs(advantages[last])
    return Window(size, window.number + number)


def mean_size(window: Window) -> Array:
    """Mean magnitude of the advantages in the window, shape (k,); zero of none."""
    kept = np.clip(window.number, 1, window.size.shape[1])
    mean: Array = window.size.sum(axis=1) / kept
    return mean
