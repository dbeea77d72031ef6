"""Held-out losses with the unusable ones marked."""

from __future__ import annotations

import numpy as np

from policies.feedback import Feedback
from policies.signals import MAX_LOSS, Array, LossUnit

# No text costs less, even by a model that knows it by heart: such a loss is a fault.
MIN_LOSS = 1e-9


def held_out_loss(feedback: Feedback, unit: LossUnit) -> Array:
    """Held-out loss of each domain after the step, shape (k,); NaN where there is none to use."""
    measured = feedback.validation_loss
    if measured is None:
        return np.full(feedback.num_domains, np.nan)
    loss = measured.loss(unit)
    return np.where((loss > MIN_LOSS) & (loss <= MAX_LOSS[unit]), loss, np.nan)
