"""The learning rate over the run, as a factor of its peak."""

from __future__ import annotations

import math
from typing import Literal, TypeAlias

Decay: TypeAlias = Literal["cosine", "linear", "constant"]


def learning_rate_factor(
    step: int, *, total_steps: int, warmup_steps: int, decay: Decay, final_factor: float
) -> float:
    """Linear warm-up, then a decay that reaches ``final_factor`` at the last step.

    Args:
        step: Optimiser steps done.
        total_steps: Optimiser steps of the run.
        warmup_steps: Steps until the peak.
        decay: Shape of the way down.
        final_factor: Learning rate at the end, as a fraction of the peak.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    if decay == "constant":
        return 1.0
    progress = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    remaining = 1.0 - progress if decay == "linear" else 0.5 * (1.0 + math.cos(math.pi * progress))
    return final_factor + (1.0 - final_factor) * remaining
