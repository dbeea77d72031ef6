"""The mixture that an earlier run arrived at, for a run that keeps it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, final

from policies.policy import Task
from policies.signals import Array
from policies.simplex import check_weights
from policies.static import Static


@final
@dataclass(frozen=True, kw_only=True)
class Learned(Static):
    """The mean or last mixture of a finished run, by domain name.

    This is how DoReMi and DoGE are meant to be used: a small run learns, and a large one trains on
    the mean of the small one's weights. Beside an online run it also tells whether moving the
    mixture was worth anything over its mere average.

    Args:
        summary: The earlier run's ``summary.json``.
        which: "mean" for the average of all steps' weights, "last" for those of the last step.
    """

    summary: str
    which: Literal["mean", "last"] = "mean"

    def __post_init__(self) -> None:
        if self.which not in ("mean", "last"):
            raise ValueError(f"which must be 'mean' or 'last', got {self.which!r}")

    def mixture(self, task: Task) -> Array:
        key = "mean_weight" if self.which == "mean" else "weight"
        try:
            domains = json.loads(Path(self.summary).read_text(encoding="utf-8"))["domains"]
            weights = {str(name): float(record[key]) for name, record in domains.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"summary must be the summary.json of a run, got {self.summary!r}: {error}"
            ) from error
        if set(weights) != set(task.names):
            different = sorted(set(weights) ^ set(task.names))
            raise ValueError(
                f"summary must be of a run with the same domains, got {self.summary!r}, which "
                f"differs in {', '.join(different[:5])}"
            )
        named = [weights[name] for name in task.names]
        return check_weights(named, task.names, f"weight in {self.summary}")
