"""More weight for the domains that lag furthest behind where they should end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from policies.feedback import Feedback
from policies.held_out import held_out_loss
from policies.policy import Decision, Policy, Task
from policies.published.ado_law import Limits, Points, fit, log_forecast, usable
from policies.published.loss_history import LossHistory, append, no_history
from policies.signals import MAX_LOSS, Array, LossUnit, Signal, check_unit
from policies.simplex import check_weights, tilt

# A loss this many times as far from its target as at first says no more than that it has risen.
MAX_VELOCITY = 10.0
HISTORY = 64


class VelocituneState(NamedTuple):
    """What has been learnt of the losses, each array of shape (k,).

    Attributes:
        prior: The mixture to start from.
        exponent: Logarithm of how much the weights have been changed, at most zero.
        initial: First validation loss of each domain.
        loss: Last validation loss of each domain.
        measured: Which domains have had one.
        target: Where each loss should end; given, or the last forecast.
        aimed: Which domains have a target.
        history: Validation losses so far, by step.
        total_steps: Steps of the whole run, which forecasts are made for.
    """

    prior: Array
    exponent: Array
    initial: Array
    loss: Array
    measured: NDArray[np.bool_]
    target: Array
    aimed: NDArray[np.bool_]
    history: LossHistory
    total_steps: int


@final
@dataclass(frozen=True, kw_only=True)
class Velocitune(Policy):
    """Slow learners are drawn more, each domain's progress being measured on its own way.

    Every ``update_every`` steps, with L_j the validation loss of domain j, L0_j the first one and
    T_j its target,

        V_j = (L_j - T_j) / (L0_j - T_j)
        p_j <- p_j exp(step_size V_j), scaled to sum to one

    (Luo et al. 2024, arXiv 2411.14318). V_j is the part of the way still ahead: one at the start,
    zero at the target, whatever the unit of the losses. It is kept between 0 and 10, and is zero
    for a domain that has no way to go. The update is that of group DRO; the factor in its exponent
    is our choice. The mixture starts at the prior.

    The paper's targets come from scaling laws fitted to runs on a part of the data. Here they are
    either given, or forecasts for the last step of this run: laws E + B t^-alpha with E between a
    thousandth of the lowest loss and that loss, fitted anew at each update to the validation losses
    so far (`ado_law`; at most 64 rows, beyond which neighbours are averaged). Until a domain has
    ``min_points`` of them it has no target and takes the mean V of the others, so that at first
    nothing moves. A fit costs about 0.02 s for 20 domains and some seconds for 2,000.

    A forecast from this run says where a domain is going and not where it could go: a domain that
    the mixture neglects has an easy target. And a target set too low by mistake draws weight for
    ever, since V never reaches zero.

    Args:
        targets: Final validation loss by domain name, for all domains, in ``unit``; or None to
            forecast them.
        step_size: Factor of V in the exponent, positive.
        update_every: Steps from one measurement and change to the next.
        min_points: Measurements that a forecast needs, at least 4.
        unit: Of the losses.
    """

    targets: dict[str, float] | None = None
    step_size: float = 1.0
    update_every: int = 100
    min_points: int = 8
    unit: LossUnit = "nats_per_token"

    def __post_init__(self) -> None:
        check_unit(self.unit)
        largest = MAX_LOSS[self.unit]
        for name, target in (self.targets or {}).items():
            if not 0 < target <= largest:
                raise ValueError(f"targets of {name!r} must be in (0, {largest:g}], got {target}")
        if not 0 < self.step_size <= 1e3:
            raise ValueError(f"step_size must be in (0, 1e3], got {self.step_size}")
        if self.update_every < 1:
            raise ValueError(f"update_every must be at least 1 step, got {self.update_every}")
        if self.min_points < 4:
            raise ValueError(f"min_points must be at least 4, got {self.min_points}")

    @property
    def signals(self) -> frozenset[Signal]:
        return frozenset({Signal.VALIDATION_LOSS})

    def init(self, task: Task) -> VelocituneState:
        zeros = np.zeros(task.num_domains)
        no = np.zeros(task.num_domains, dtype=np.bool_)
        return VelocituneState(
            prior=check_weights(task.prior, task.names, "prior"),
            exponent=zeros,
            initial=zeros,
            loss=zeros,
            measured=no,
            target=zeros if self.targets is None else self._targets(task.names),
            aimed=no if self.targets is None else ~no,
            history=no_history(HISTORY, task.num_domains, task.num_domains),
            total_steps=task.total_steps,
        )

    def decide(self, state: VelocituneState, step: int) -> Decision:
        asked = frozenset() if step % self.update_every else self.signals
        return Decision(tilt(state.prior, state.exponent), asked)

    def update(self, state: VelocituneState, feedback: Feedback) -> VelocituneState:
        if feedback.validation_loss is None or feedback.step % self.update_every:
            return state
        state = self._absorb(state, held_out_loss(feedback, self.unit), feedback.step)
        if self.targets is None:
            state = self._forecast(state)
        exponent = state.exponent + self.step_size * velocities(state)
        return state._replace(exponent=exponent - exponent.max())

    def diagnostics(self, state: VelocituneState) -> Mapping[str, float | Array]:
        return {"velocity": velocities(state), "target": state.target}

    def _targets(self, names: tuple[str, ...]) -> Array:
        given = self.targets or {}
        unknown, missing = set(given) - set(names), [name for name in names if name not in given]
        if unknown or missing:
            raise ValueError(
                "targets must name every domain of the corpus and no other, got none for "
                f"{missing[:8]} and some for {sorted(unknown)[:8]}"
            )
        return np.array([given[name] for name in names], dtype=np.float64)

    def _absorb(self, state: VelocituneState, loss: Array, step: int) -> VelocituneState:
        """The state with one more validation loss of each domain; NaN repeats the last."""
        sound = np.isfinite(loss)
        loss = np.where(sound, loss, state.loss)
        measured = state.measured | sound
        return state._replace(
            initial=np.where(sound & ~state.measured, loss, state.initial),
            loss=loss,
            measured=measured,
            history=append(state.history, loss, np.where(measured, step + 1.0, 0.0)),
        )

    def _forecast(self, state: VelocituneState) -> VelocituneState:
        """The state with the end of the run as each domain's law foresees it."""
        points = _points(state.history)
        enough = points.use.sum(axis=1) >= self.min_points
        if not enough.any():
            return state
        lowest = np.where(points.use > 0, points.log_loss, np.inf).min(axis=1, initial=50.0)
        unbounded = np.full_like(lowest, np.inf)
        law = fit(
            points,
            Limits(
                low=np.stack([-unbounded, lowest + np.log(1e-3), 0 * lowest + 0.001], axis=1),
                high=np.stack([unbounded, lowest, 0 * lowest + 0.8], axis=1),
            ),
        )
        new = enough & usable(law)
        end = np.where(new[:, None], law, 0.0)
        target = np.exp(log_forecast(end, np.full_like(lowest, np.log(state.total_steps))))
        return state._replace(target=np.where(new, target, state.target), aimed=state.aimed | new)


def velocities(state: VelocituneState) -> Array:
    """V of each domain, shape (k,): the part of the way to its target that is still ahead."""
    known = state.measured & state.aimed
    if not known.any():
        return np.zeros_like(state.loss)
    way = state.initial - state.target
    velocity = np.zeros_like(way)
    np.divide(state.loss - state.target, way, out=velocity, where=way > 0)
    velocity = np.clip(velocity, 0, MAX_VELOCITY)
    return np.where(known, velocity, velocity[known].mean())


def _points(history: LossHistory) -> Points:
    """The history as laws are fitted to it; rows before a domain's first loss are not used."""
    step = history.examples[: history.rows].T
    use = (step > 0).astype(np.float64)
    loss = np.where(use > 0, history.loss[: history.rows].T, 1.0)
    return Points(log_examples=np.log(np.maximum(step, 1.0)), log_loss=np.log(loss), use=use)
