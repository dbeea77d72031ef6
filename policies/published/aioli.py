"""Aioli: a matrix of transfer measured by perturbing the mixture during the run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from policies.feedback import Feedback
from policies.held_out import held_out_loss
from policies.policy import Decision, Policy, Task
from policies.published.perturbation import (
    Sweeps,
    begin,
    end_interval,
    intended_mixtures,
    own_effects,
    perturbed,
    realised_mixtures,
    scaled_to_mean_entry,
    scaled_to_sum_one,
    unmix,
    without_row_means,
)
from policies.published.perturbation_rounds import Place, Rounds, check_all_tried
from policies.shuffle import name_ranks, shuffled
from policies.signals import Array, LossUnit, Signal, check_unit
from policies.simplex import check_weights, tilt


class AioliState(NamedTuple):
    """What has been learnt of transfer; rows are domains evaluated, columns those trained on.

    Attributes:
        prior: The mixture to start from, shape (k,).
        relevance: The target, k times, so that it is one for each domain if uniform, shape (k,).
        ranks: Place of each domain in the alphabet, shape (k,).
        seed: Seed of the order of the perturbed mixtures.
        total_steps: Length of the run.
        rounds: Rounds that gave an estimate.
        exponent: Logarithm of the weights over the mixture they start from, shape (k,).
        transfer: The latest estimate, (k, k); a row never measured is zero.
        normalised: What the latest exponent was made of: the estimate, normalised and, with
            ``ema``, averaged over rounds, (k, k).
        sweeps: What has been measured in the present round.
    """

    prior: Array
    relevance: Array
    ranks: NDArray[np.int64]
    seed: int
    total_steps: int
    rounds: int
    exponent: Array
    transfer: Array
    normalised: Array
    sweeps: Sweeps


@final
@dataclass(frozen=True, kw_only=True)
class Aioli(Policy):
    """Exponentiated gradient on the effect that domains are found to have on held-out losses.

    Every ``update_every`` steps begin with short intervals of training on perturbed mixtures: for
    each domain j the one with the share ``focus`` for j and equal shares for all others, each
    ``sweeps`` times, in random order. From the mean drops G_ij of the held-out loss of domain i in
    the intervals for j, and the shares W_jl of domain l in them, follow A and the new weights:

        G_ij = sum_l W_jl A_il,    p_j ~ p_j exp(eta sum_i Abar_ij),    p = prior at first,

    where Abar is A, raised by its smallest entry if that is negative, divided by the sum of all
    entries. The rest of the round is trained on p. This is Aioli (Chen et al. 2024, arXiv
    2411.05735, Algorithms 1 and 2), which starts from the uniform mixture. The sum over i is
    weighted with the task's target if that is not uniform.

    The first step, or the first ``prior_steps`` steps, are trained on the prior, and end with the
    losses that the first interval starts from; later rounds start from the losses after the last
    step of the round before. A round that the run would cut short in its intervals is not begun:
    the weights stay. W are the shares that were drawn, where the authors take those that were
    meant: small batches cannot hold a small share. A domain whose loss cannot be used misses the
    drops on both sides of it; a row of A that lacks all drops for a column stays as it was.

    "released" is what the authors' code does: W are the shares that were meant, and from the first
    update on p starts from the uniform mixture whatever the prior. All the settings published with
    it have ``ema`` between 0.1 and 0.5, which forgets the weights of the round before:

        E = (1 - ema) Abar + ema E,    p_j ~ exp(eta sum_i E_ij).

    As all entries of E sum to one, no weight then exceeds another by more than a factor exp(eta).

    "centred" is a correction of ours. What the losses lose whatever is trained on, by the schedule
    of the learning rate for one, is the same in each column of A. Normalised as published, it makes
    the columns alike, the more the faster all domains learn. So the mean over j is taken off G_ij,
    and what rounding of shares leaves of it off A_ij; adding a constant to all drops of a domain
    then leaves the weights unmoved. Entries that have both signs and sum to nothing cannot be
    divided by their sum, and raising them by the smallest would let one noisy entry set the scale;
    they are divided by k times their mean absolute value. So the unit of the loss does not matter,
    and a domain whose column exceeds the others by that mean value in all rows gains ``eta``,
    however many domains there are.

    Weaknesses: a round looks no further than the next; repetition is not seen; short intervals are
    noisy, the optimiser's momentum carries the effect of one into the next, and as nothing says
    how certain A is, noise alone moves the weights as far; the steps spent on perturbation grow
    with the number of domains, which makes more than some twenty hopeless. A round costs
    ``sweeps * k + 1`` passes over the held-out data.

    Args:
        variant: "paper", "released" or "centred".
        eta: Step size, positive.
        update_every: Steps of a round, more than the ``sweeps * interval_steps * k`` of its
            intervals. The default is that of the authors' settings for 2 and 3 domains.
        sweeps: Intervals for each domain in a round.
        interval_steps: Steps of an interval. The authors advise 4, and 4 to 6 sweeps.
        focus: Share of the domain that an interval is for, above 1/k, at most 1.
        prior_steps: Steps on the prior before the first round.
        ema: Weight of the past in the average of matrices, in [0, 1); None for the product of
            updates.
        normalise: Whether A is normalised, or enters as it is, in units of the loss.
        diagonal: Whether domains are taken to have an effect on themselves only, and A_ii is
            G_ii / W_ii (an ablation of the paper); not with "centred".
        unit: Unit of the held-out losses.
    """

    variant: Literal["paper", "released", "centred"] = "paper"
    eta: float = 0.2
    update_every: int = 250
    sweeps: int = 4
    interval_steps: int = 4
    focus: float = 0.75
    prior_steps: int = 0
    ema: float | None = None
    normalise: bool = True
    diagonal: bool = False
    unit: LossUnit = "nats_per_token"

    def __post_init__(self) -> None:
        if self.variant not in ("paper", "released", "centred"):
            raise ValueError(
                f"variant must be 'paper', 'released' or 'centred', got {self.variant!r}"
            )
        if not 0 < self.eta <= 1e6:
            raise ValueError(f"eta must be in (0, 1e6], got {self.eta}")
        for name in ("sweeps", "interval_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if not 0 < self.focus <= 1:
            raise ValueError(f"focus must be in (0, 1], got {self.focus}")
        if self.prior_steps < 0:
            raise ValueError(f"prior_steps must not be negative, got {self.prior_steps}")
        if self.ema is not None and not 0 <= self.ema < 1:
            raise ValueError(f"ema must be in [0, 1) or None, got {self.ema}")
        if self.diagonal and self.variant == "centred":
            raise ValueError("diagonal must be False with variant 'centred', got True")
        check_unit(self.unit)

    @property
    def signals(self) -> frozenset[Signal]:
        return frozenset({Signal.VALIDATION_LOSS})

    def init(self, task: Task) -> AioliState:
        size = task.num_domains
        self._rounds(size, task.total_steps).check()
        check_all_tried(task, self.focus)
        zeros = np.zeros((size, size))
        return AioliState(
            prior=check_weights(task.prior, task.names, "prior"),
            relevance=size * task.target,
            ranks=name_ranks(task.names),
            seed=task.seed,
            total_steps=task.total_steps,
            rounds=0,
            exponent=np.zeros(size),
            transfer=zeros,
            normalised=zeros,
            sweeps=begin(np.full(size, np.nan)),
        )

    def decide(self, state: AioliState, step: int) -> Decision:
        place = self._place(state, step)
        signals = self.signals if place.ends else frozenset()
        if place.interval >= 0:
            domain = self._domain(state, place)
            return Decision(perturbed(domain, len(state.prior), self.focus), signals)
        forgets = self.variant == "released" and state.rounds > 0
        start = np.full_like(state.prior, 1 / len(state.prior)) if forgets else state.prior
        return Decision(tilt(start, state.exponent), signals)

    def update(self, state: AioliState, feedback: Feedback) -> AioliState:
        place = self._place(state, feedback.step)
        if place.interval < 0:
            if not place.ends:
                return state
            return state._replace(sweeps=begin(held_out_loss(feedback, self.unit)))
        drawn = int(feedback.counts.sum())
        share = feedback.counts / drawn if drawn > 0 else feedback.weights
        sweeps = state.sweeps._replace(share=state.sweeps.share + share)
        if place.ends:
            loss = held_out_loss(feedback, self.unit)
            sweeps = end_interval(sweeps, self._domain(state, place), loss)
        state = state._replace(sweeps=sweeps)
        last = place.ends and place.interval == self.sweeps * feedback.num_domains - 1
        return self._learn(state) if last else state

    def diagnostics(self, state: AioliState) -> Mapping[str, float | Array]:
        return {
            "rounds": state.rounds,
            "transfer": state.transfer,
            "normalised_transfer": state.normalised,
            "exponent": state.exponent,
        }

    def _learn(self, state: AioliState) -> AioliState:
        """The state after the last interval of a round."""
        number = state.sweeps.number
        complete = np.all(number > 0, axis=1, keepdims=True)
        if not complete.any():
            return state
        transfer = np.where(complete, self._transfer(state.sweeps), state.transfer)
        normalised = self._normalised(transfer)
        if self.ema is not None and state.rounds > 0:
            normalised = (1 - self.ema) * normalised + self.ema * state.normalised
        exponent = self.eta * (state.relevance @ normalised)
        return state._replace(
            rounds=state.rounds + 1,
            exponent=exponent if self.ema is not None else state.exponent + exponent,
            transfer=transfer,
            normalised=normalised,
        )

    def _transfer(self, sweeps: Sweeps) -> Array:
        """The matrix that explains a round's drops, (k, k)."""
        drop = sweeps.drop / np.maximum(sweeps.number, 1)
        if self.variant == "released":
            mixtures = intended_mixtures(len(drop), self.focus)
        else:
            mixtures = realised_mixtures(sweeps)
        if self.variant == "centred":
            return without_row_means(unmix(without_row_means(drop), mixtures))
        return own_effects(drop, mixtures) if self.diagonal else unmix(drop, mixtures)

    def _normalised(self, transfer: Array) -> Array:
        if not self.normalise:
            return transfer
        centred = self.variant == "centred"
        return scaled_to_mean_entry(transfer) if centred else scaled_to_sum_one(transfer)

    def _place(self, state: AioliState, step: int) -> Place:
        return self._rounds(len(state.prior), state.total_steps).place(step)

    def _rounds(self, num_domains: int, total_steps: int) -> Rounds:
        return Rounds(
            prior_steps=max(self.prior_steps, 1),
            update_every=self.update_every,
            intervals=self.sweeps * num_domains,
            interval_steps=self.interval_steps,
            total_steps=total_steps,
        )

    def _domain(self, state: AioliState, place: Place) -> int:
        """The domain that an interval is for."""
        sweep, position = divmod(place.interval, len(state.prior))
        return int(shuffled(state.ranks, state.seed, place.round, sweep)[position])
