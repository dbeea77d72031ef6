"""UniMax: as uniform as a bound on repetition allows."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from policies.policy import Task
from policies.signals import Array
from policies.static import Static


@final
@dataclass(frozen=True, kw_only=True)
class UniMax(Static):
    """UniMax (Chung et al. 2023, arXiv 2304.09151, Algorithm 1), with tokens for characters.

    Domains are visited from the smallest to the largest. Each is offered an equal part of the
    budget still left and takes it, but never more than ``max_epochs`` of its unique tokens; what it
    leaves is shared by the larger ones. The mixture is what was taken over its sum.

    When the run is longer than ``max_epochs`` of the whole corpus no mixture can respect the bound.
    Then every domain is capped, hence the mixture is the natural one, which repeats all domains
    equally often: the least possible largest number of epochs, but more than ``max_epochs``.

    Args:
        max_epochs: Most often that any domain may be read in the whole run.
    """

    max_epochs: float = 4.0

    def __post_init__(self) -> None:
        if not (self.max_epochs > 0 and math.isfinite(self.max_epochs)):
            raise ValueError(f"max_epochs must be positive and finite, got {self.max_epochs}")

    def mixture(self, task: Task) -> Array:
        caps = self.max_epochs * task.unique_tokens
        tokens: Array = np.zeros(task.num_domains)
        left = float(task.total_tokens)
        for position, domain in enumerate(np.argsort(caps, kind="stable")):
            tokens[domain] = min(left / (len(caps) - position), caps[domain])
            left -= tokens[domain]
        return tokens / float(tokens.sum())
