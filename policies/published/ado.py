"""Adaptive data optimisation: sampling by how fast each domain's scaling law still falls."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from policies.feedback import Feedback
from policies.policy import Decision, Policy, Task
from policies.published.ado_law import Limits, Points, fit, usable
from policies.published.loss_history import LossHistory, append, no_history
from policies.published.training_loss import domain_losses
from policies.signals import Array, LossUnit, check_unit
from policies.simplex import check_weights, tilt

EXPONENT_FLOOR = 0.05
SMALLEST_LOSS = 1e-6
SMOOTHING_ORDER = 3


class ADOState(NamedTuple):
    """What has been learnt, each array of shape (k,) unless said otherwise.

    Attributes:
        prior: The mixture to stay at without evidence.
        credit: Moving average of each domain's share of the batches.
        average: Mean of the preferred mixtures since the first step.
        weights: The mixture in force.
        examples: Sequences that each domain's law counts as seen.
        loss: Last loss of each domain, or of the first batch where the domain had none so far.
        heard: Whether any loss has been heard of.
        law: Rows (a, e, alpha) of L(n) = exp(e) + exp(a) n ** -alpha, shape (k, 3).
        fitted: Which domains have a law.
        history: The losses so far.
    """

    prior: Array
    credit: Array
    average: Array
    weights: Array
    examples: Array
    loss: Array
    heard: bool
    law: Array
    fitted: NDArray[np.bool_]
    history: LossHistory


@final
@dataclass(frozen=True, kw_only=True)
class ADO(Policy):
    """Domains whose training loss is forecast to fall fastest are drawn more.

    A law L_j(n) = E_j + B_j n^-alpha_j is fitted to each domain's training losses every
    ``refit_every`` steps. At every step t from ``start_step`` on, counted from 0,

        v_j = prior_j h_j^credit_power alpha_j (L_j(n_j) - E_j) / n_j
        r = v / sum(v), no part of it below ``floor``, and scaled to sum to one again
        p = (1 - new_share) rbar + new_share r,    rbar <- rbar + (r - rbar) / (t + 1)

    (Jiang et al. 2024, arXiv 2410.11820). n_j are the sequences drawn of the domain so far, h_j is
    a moving average of its share of the batches: a domain is credited with its progress only so far
    as it caused it. alpha_j counts as 0.05 at least in v_j. rbar starts at the prior.

    Laws minimise the Huber loss (delta 0.001) of log residuals, after smoothing the losses by a
    Savitzky-Golay filter, from several starting points. A step without a domain repeats the
    domain's last loss. Losses are kept in a table of ``history`` rows: when it is full, every two
    become their mean, and the filter and ``subsample`` count correspondingly fewer. The released
    code keeps all, which is the same until the table is first full. A fit costs about 0.05 s for
    20 domains and some seconds for 2,000.

    Soft priors keep alpha within [0.001, 0.8]. The released code moreover holds ln B below 6.5 and
    ln E above 0.5, in nats: a domain whose loss falls below 1.65 is thought to be learnt, and is
    starved, until there are about 1,000 points against that. "paper" holds E below the lowest loss
    so far instead, and above a thousandth of it.

    The floor is no more than half of an even share: with more than 50 domains the published one
    would leave no mixture but the uniform. A domain without a law keeps its prior share of r, and
    a fit needs ``min_points``, where the released code begins with a single one.

    Because rbar averages from the first step on, the mixture leaves the prior slowly. Progress is
    attributed to a domain's own text alone, and a training loss that falls because text is repeated
    looks like learning.

    Args:
        variant: Whose soft priors: "paper" (relative to the losses) or "released".
        counts: What n counts: "own" sequences of the domain, or the "total" of all domains, as the
            released code does by default; the factor 1 / n then cancels.
        start_step: First step whose batch may change the mixture, if there is a law by then: with
            the defaults, of which the first fit finds no points yet, the first comes at step 2,000.
        refit_every: Steps from one fit to the next.
        ignore_steps: Steps at the start of training that laws leave out.
        smoothing_window: Steps in the filter's window, odd; 1 for no filter.
        subsample: Steps from one fitted point to the next.
        min_points: Points that a fit needs, at least 4.
        history: Rows of the table of losses, even.
        credit_decay: What one step leaves of h, in [0, 1).
        credit_power: Power of h, in [0, 1].
        new_share: Part of the newest r in the mixture, in [0, 1].
        floor: Least share in r, before it is scaled, in [0, 1].
        unit: Of the losses; the paper's are nats per token.
    """

    variant: Literal["paper", "released"] = "paper"
    counts: Literal["own", "total"] = "own"
    start_step: int = 1000
    refit_every: int = 1000
    ignore_steps: int = 1000
    smoothing_window: int = 101
    subsample: int = 10
    min_points: int = 20
    history: int = 256
    credit_decay: float = 0.9
    credit_power: float = 0.5
    new_share: float = 0.1
    floor: float = 0.01
    unit: LossUnit = "nats_per_token"

    def __post_init__(self) -> None:
        if self.variant not in ("paper", "released"):
            raise ValueError(f"variant must be 'paper' or 'released', got {self.variant!r}")
        if self.counts not in ("own", "total"):
            raise ValueError(f"counts must be 'own' or 'total', got {self.counts!r}")
        check_unit(self.unit)
        least = {"start_step": 0, "ignore_steps": 0, "refit_every": 1, "subsample": 1}
        for option, bound in (least | {"min_points": 4, "history": 8}).items():
            if getattr(self, option) < bound:
                raise ValueError(f"{option} must be at least {bound}, got {getattr(self, option)}")
        if self.history % 2:
            raise ValueError(f"history must be even, so that rows pair up, got {self.history}")
        window = self.smoothing_window
        if window % 2 == 0 or not (window == 1 or window > SMOOTHING_ORDER):
            raise ValueError(
                f"smoothing_window must be odd and at least 5, or 1 for none, got {window}"
            )
        for option in ("credit_decay", "credit_power", "new_share", "floor"):
            if not 0 <= getattr(self, option) <= 1:
                raise ValueError(f"{option} must be in [0, 1], got {getattr(self, option)}")

    def init(self, task: Task) -> ADOState:
        prior = check_weights(task.prior, task.names, "prior")
        zeros = np.zeros(task.num_domains)
        clocks = task.num_domains if self.counts == "own" else 1
        return ADOState(
            prior=prior,
            credit=prior,
            average=prior,
            weights=prior,
            examples=zeros,
            loss=zeros,
            heard=False,
            law=np.zeros((task.num_domains, 3)),
            fitted=np.zeros(task.num_domains, dtype=np.bool_),
            history=no_history(self.history, task.num_domains, clocks),
        )

    def decide(self, state: ADOState, step: int) -> Decision:
        del step
        return Decision(state.weights)

    def update(self, state: ADOState, feedback: Feedback) -> ADOState:
        step = feedback.step
        state = self._absorb(state, feedback)
        if step >= self.start_step and step % self.refit_every == 0:
            state = self._refit(state)
        if step < self.start_step or not state.fitted.any():
            return state
        preferred = self._preferred(state)
        return state._replace(
            weights=(1 - self.new_share) * state.average + self.new_share * preferred,
            average=state.average + (preferred - state.average) / (step + 1),
        )

    def diagnostics(self, state: ADOState) -> Mapping[str, float | Array]:
        fitted = state.fitted.astype(np.float64)
        return {
            "fitted": fitted,
            "irreducible_loss": fitted * np.exp(state.law[:, 1]),
            "exponent": fitted * state.law[:, 2],
            "credit": state.credit,
            "average": state.average,
        }

    def _absorb(self, state: ADOState, feedback: Feedback) -> ADOState:
        """The state with a batch's counts and losses in it."""
        counts = feedback.counts.astype(np.float64)
        total = float(counts.sum())
        if total > 0:
            credit = self.credit_decay * state.credit + (1 - self.credit_decay) * counts / total
            seen = counts if self.counts == "own" else total
            state = state._replace(credit=credit, examples=state.examples + seen)
        loss = domain_losses(feedback, self.unit)
        drawn = ~np.isnan(loss)
        if not (state.heard or drawn.any()):
            return state
        if not state.heard:
            known = np.where(drawn, loss, 0.0)
            mean = float(feedback.counts @ known) / max(float(feedback.counts @ drawn), 1.0)
            state = state._replace(loss=np.full_like(loss, mean), heard=True)
        loss = np.where(drawn, loss, state.loss)
        clock = state.examples if self.counts == "own" else state.examples[:1]
        return state._replace(loss=loss, history=append(state.history, loss, clock))

    def _refit(self, state: ADOState) -> ADOState:
        """The state with new laws for the domains that have enough points."""
        points = self.points(state.history)
        enough = points.use.sum(axis=1) >= self.min_points
        if not enough.any():
            return state
        law = fit(points, self.limits(points))
        new = enough & usable(law)
        return state._replace(law=np.where(new[:, None], law, state.law), fitted=state.fitted | new)

    def points(self, history: LossHistory) -> Points:
        """What laws are fitted to: the smoothed history, thinned out."""
        loss, examples = history.loss[: history.rows], history.examples[: history.rows]
        window = self.smoothing_window // history.stride
        window -= window % 2 == 0
        if window > SMOOTHING_ORDER:
            if len(loss) < window:
                loss, examples = loss[:0], examples[:0]
            else:
                from scipy.signal import savgol_filter

                loss = savgol_filter(loss, window, SMOOTHING_ORDER, axis=0)
        every = max(1, self.subsample // history.stride)
        kept = slice(-(-self.ignore_steps // history.stride), None, every)
        loss, examples = loss[kept], np.broadcast_to(examples[kept], loss[kept].shape)
        return Points(
            log_examples=np.ascontiguousarray(np.log(np.maximum(examples, 1.0)).T),
            log_loss=np.ascontiguousarray(np.log(np.maximum(loss, SMALLEST_LOSS)).T),
            use=np.ascontiguousarray((examples > 0).T.astype(np.float64)),
        )

    def limits(self, points: Points) -> Limits:
        """Where the soft priors of the variant begin, for each domain."""
        low = np.tile([-np.inf, 0.5, 0.001], (len(points.use), 1))
        high = np.tile([6.5, np.inf, 0.8], (len(points.use), 1))
        if self.variant == "paper":
            lowest = np.where(points.use > 0, points.log_loss, np.inf).min(axis=1, initial=50.0)
            high[:, 0], high[:, 1] = np.inf, lowest
            low[:, 1] = lowest + np.log(1e-3)
        return Limits(low, high)

    def _preferred(self, state: ADOState) -> Array:
        """The mixture r that the forecast slopes ask for, shape (k,)."""
        preferred = state.prior.copy()
        mass = float(state.prior[state.fitted].sum())
        if mass > 0:
            preferred[state.fitted] = mass * tilt(
                state.prior[state.fitted] / mass, self._log_slope(state)[state.fitted]
            )
        floor = min(self.floor, 0.5 / len(preferred))
        floored = np.where(state.prior > 0, np.maximum(preferred, floor), 0.0)
        share: Array = floored / float(floored.sum())
        return share

    def _log_slope(self, state: ADOState) -> Array:
        """Logarithm of a law's slope times the credit, shape (k,)."""
        law, log_examples = state.law, np.log(np.maximum(state.examples, 1.0))
        reducible = law[:, 0] - law[:, 2] * log_examples
        credit = np.log(np.maximum(state.credit, np.finfo(np.float64).tiny))
        slope = np.log(np.maximum(law[:, 2], EXPONENT_FLOOR)) + reducible - log_examples
        return slope + self.credit_power * credit
