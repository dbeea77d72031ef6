"""A mixture, or a schedule of mixtures, that the user wrote down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from policies.policy import Decision, Policy, Task
from policies.signals import Array
from policies.simplex import check_weights


class FixedState(NamedTuple):
    """The schedule as arrays: the m steps in rising order, shape (m,), and mixtures, (m, k)."""

    steps: NDArray[np.int64]
    mixtures: Array


@final
@dataclass(frozen=True, kw_only=True)
class Fixed(Policy):
    """Weights by domain name, constant or by a schedule. A domain that is not named gets none.

    Args:
        weights: Either ``{domain: weight}``, or ``{step: {domain: weight}}`` beginning with step 0.
            The weights of a mixture sum to one. The last mixture of a schedule stays.
        interpolate: What happens between two steps of a schedule: "step" keeps the earlier mixture
            until the later one is due, "linear" moves in a straight line from one to the other.
    """

    weights: dict[str, float] | dict[int, dict[str, float]]
    interpolate: Literal["step", "linear"] = "step"

    def __post_init__(self) -> None:
        if self.interpolate not in ("step", "linear"):
            raise ValueError(f"interpolate must be 'step' or 'linear', got {self.interpolate!r}")
        if not self.weights:
            raise ValueError("weights must name at least one domain or step, got nothing")
        nested = {isinstance(value, Mapping) for value in self.weights.values()}
        if len(nested) == 2:
            raise ValueError("weights must be all numbers or all mixtures, got some of each")
        if min(self._schedule) != 0:
            raise ValueError(f"weights must start at step 0, got {min(self._schedule)}")
        for step, mixture in self._schedule.items():
            check_weights(list(mixture.values()), list(mixture), self._option(step))

    @property
    def _schedule(self) -> dict[int, Mapping[str, float]]:
        """Mixtures by step, in rising order; constant weights are a schedule of one step."""
        if any(isinstance(value, Mapping) for value in self.weights.values()):
            mixtures = {int(step): mixture for step, mixture in self.weights.items()}
            return dict(sorted(mixtures.items()))  # type: ignore[arg-type]
        return {0: self.weights}  # type: ignore[dict-item]

    def _option(self, step: int) -> str:
        """What to call one mixture of the schedule in an error message."""
        return "weights" if len(self._schedule) == 1 else f"weights at step {step}"

    def init(self, task: Task) -> FixedState:
        position = {name: index for index, name in enumerate(task.names)}
        mixtures = np.zeros((len(self._schedule), task.num_domains))
        for row, (step, mixture) in zip(mixtures, self._schedule.items(), strict=True):
            for name, weight in mixture.items():
                if name not in position:
                    raise ValueError(
                        f"{self._option(step)} must name domains of the corpus "
                        f"({', '.join(task.names[:8])}{', ...' * (len(task.names) > 8)}), "
                        f"got {name!r}"
                    )
                row[position[name]] = weight
            row /= row.sum()
        return FixedState(np.array(list(self._schedule), dtype=np.int64), mixtures)

    def decide(self, state: FixedState, step: int) -> Decision:
        earlier = int(np.searchsorted(state.steps, step, side="right")) - 1
        later = min(earlier + 1, len(state.steps) - 1)
        if self.interpolate == "step" or later == earlier:
            return Decision(state.mixtures[earlier])
        start, end = state.steps[earlier], state.steps[later]
        part = (step - start) / (end - start)
        return Decision((1 - part) * state.mixtures[earlier] + part * state.mixtures[later])
