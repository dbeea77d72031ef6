"""TiKMiX: what the two ways of choosing a mixture by group influence have in common."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.feedback import Feedback
from policies.policy import Decision, Policy, Task
from policies.shuffle import name_ranks
from policies.signals import Array, Signal

STAGES = 5  # A new mixture every 200 billion of 1,000 billion tokens.
SMALLEST_SCALE = 1e-8
# Influences of which one is this much larger than the row's best are no basis for a mixture.
LARGEST_INFLUENCE = 1e8


class TiKMiXState(NamedTuple):
    """What has been measured of the influences, and the mixture in force.

    Attributes:
        weights: The mixture in force, shape (k,).
        prior: The mixture that no domain may do worse under, shape (k,).
        order: The domains in the order of their names, shape (k,).
        update_every: Steps from one mixture to the next.
        total_steps: Length of the run.
        influence: Of training on the column's domain on the row's, shape (k, k).
        measurements: How many measurements are behind each influence, shape (k, k).
        changes: Mixtures computed so far.
        failures: Times that no mixture could be computed and the last one stayed.
        seed: Seed of the run.
    """

    weights: Array
    prior: Array
    order: NDArray[np.int64]
    update_every: int
    total_steps: int
    influence: Array
    measurements: NDArray[np.int64]
    changes: int
    failures: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class TiKMiX(Policy):
    """Stages, measurements and the influence objective of TiKMiX (2025, arXiv 2508.17677).

    Args:
        balance: a, strength of the spread of the influences.
        gain: b, strength of their sum.
        entropy: g, strength of the pull to an even mixture.
        update_every: Steps of a stage; a fifth of the run if not given, as published.
        average_over: Measurements averaged in an influence: the steps before a change at which
            gradients are measured. Older ones fade at the rate 1 / average_over.
    """

    balance: float = 1.0
    gain: float = 1.0
    entropy: float = 1.0
    update_every: int | None = None
    average_over: int = 16

    def __post_init__(self) -> None:
        for name in ("balance", "gain", "entropy"):
            value = getattr(self, name)
            if not 0 <= value <= 1e6:
                raise ValueError(f"{name} must be in [0, 1e6], got {value}")
        if self.update_every is not None and self.update_every < 1:
            raise ValueError(
                f"update_every must be a positive number of steps, or left out for a fifth of the "
                f"run, got {self.update_every}"
            )
        if self.average_over < 1:
            raise ValueError(f"average_over must be at least 1, got {self.average_over}")

    @property
    def signals(self) -> frozenset[Signal]:
        return frozenset({Signal.GRADIENT_ALIGNMENT})

    def init(self, task: Task) -> TiKMiXState:
        shape = (task.num_domains, task.num_domains)
        return TiKMiXState(
            weights=task.prior,
            prior=task.prior,
            order=np.argsort(name_ranks(task.names)),
            update_every=self.update_every or max(task.total_steps // STAGES, 1),
            total_steps=task.total_steps,
            influence=np.zeros(shape),
            measurements=np.zeros(shape, dtype=np.int64),
            changes=0,
            failures=0,
            seed=task.seed,
        )

    def decide(self, state: TiKMiXState, step: int) -> Decision:
        left = state.update_every - step % state.update_every
        # A change after the last step would rule nothing.
        asks = left <= self.average_over and step + left < state.total_steps
        return Decision(state.weights, self.signals if asks else frozenset())

    def update(self, state: TiKMiXState, feedback: Feedback) -> TiKMiXState:
        state = self._measure(state, feedback)
        after = feedback.step + 1
        due = after % state.update_every == 0 and after < state.total_steps
        if not due or not state.measurements.any():
            return state
        # In the order of their names, so that neither rounding nor draws depend on the list's.
        order = state.order
        both = np.ix_(order, order)
        rows = normalised(state.influence[both], state.measurements[both] > 0)
        mixture = None
        if len(order) > 1 and float(np.abs(rows).max()) < LARGEST_INFLUENCE:
            mixture = self._mixture(rows, state.prior[order], (state.seed, feedback.step))
        if mixture is None:
            return state._replace(failures=state.failures + (len(order) > 1))
        weights = np.empty_like(state.weights)
        weights[order] = mixture
        return state._replace(weights=weights, changes=state.changes + 1)

    def diagnostics(self, state: TiKMiXState) -> Mapping[str, float | Array]:
        return {
            "influence": state.influence,
            "changes": float(state.changes),
            "failures": float(state.failures),
        }

    @abstractmethod
    def _mixture(self, rows: Array, prior: Array, seed: tuple[int, int]) -> Array | None:
        """The next mixture, shape (k,), or None where there is none.

        Args:
            rows: Influences, each row scaled by its best, shape (k, k).
            prior: Shape (k,).
            seed: Of the run, and the step.
        """

    def _measure(self, state: TiKMiXState, feedback: Feedback) -> TiKMiXState:
        """The state with one step's gradients in it."""
        if feedback.gradients is None:
            return state
        sketches, order = feedback.gradients, state.order
        new = np.empty_like(state.influence)
        with np.errstate(over="ignore", invalid="ignore"):
            new[np.ix_(order, order)] = sketches.validation[order] @ sketches.train[order].T
            # Small enough that neither a difference nor a mean of two can overflow.
            use = np.abs(new) < 1e300
        number = np.minimum(state.measurements + use, self.average_over)
        change = np.where(use, new - np.where(use, state.influence, 0.0), 0.0)
        with np.errstate(invalid="ignore"):
            influence = state.influence + change / np.maximum(number, 1)
        return state._replace(influence=influence, measurements=number)


def normalised(influence: Array, known: NDArray[np.bool_]) -> Array:
    """Each row over its largest influence plus 1e-8, as published, shape (k, k).

    Where no domain helps the row's, the published divisor would turn the sign of the row; there it
    is the largest absolute influence. A column that was never measured counts as the mean of its
    row's others, and a row that was never measured as the mean of the other rows, so that what is
    not known neither draws nor repels.
    """
    anything = known.any(axis=1)
    largest = np.where(known, influence, -np.inf).max(axis=1)
    magnitude = np.where(known, np.abs(influence), 0.0).max(axis=1)
    scale = np.where(largest > 0, largest, magnitude) + SMALLEST_SCALE
    with np.errstate(over="ignore", invalid="ignore"):
        rows = np.where(known, influence / scale[:, None], 0.0)
        mean = rows.sum(axis=1) / np.maximum(known.sum(axis=1), 1)
        rows = np.where(known, rows, mean[:, None])
        if not anything.all():
            rows[~anything] = rows[anything].mean(axis=0)
    filled: Array = np.where(np.isfinite(rows), rows, np.inf)
    return filled
