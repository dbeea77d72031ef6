"""What one measurement of each signal costs, found by a run of two steps."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple, final

from policies import Decision, Policy, Signal, Task
from policies.signals import Array
from trainer.summary import load_summary

STEPS = 2


class Prior(NamedTuple):
    """The mixture, shape (k,)."""

    weights: Array


@final
@dataclass(frozen=True, kw_only=True)
class AskEveryStep(Policy):
    """Keeps the prior and has signals measured in every step.

    Args:
        wanted: Names of the signals.
    """

    wanted: list[str] = field(default_factory=list)

    @property
    def signals(self) -> frozenset[Signal]:
        return frozenset(map(Signal, self.wanted))

    def init(self, task: Task) -> Prior:
        return Prior(task.prior)

    def decide(self, state: Prior, step: int) -> Decision:
        return Decision(state.weights, self.signals)


def pilot_policy(signals: Iterable[Signal]) -> dict[str, object]:
    """The pilot's policy as a configuration."""
    return {
        "class_path": f"{__name__}.{AskEveryStep.__name__}",
        "init_args": {"wanted": sorted(map(str, signals))},
    }


def prices(folder: Path) -> dict[Signal, float]:
    """Tokens of training that one measurement cost in the pilot, by signal."""
    costs = load_summary(folder)["signals"]
    return {Signal(name): cost["tokens"] / cost["measurements"] for name, cost in costs.items()}
