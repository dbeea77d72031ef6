"""What repeated text is worth, beside text that is read for the first time."""

from __future__ import annotations

import numpy as np

from policies.signals import Array

# Decay of a repeat's worth for one source read alone (Muennighoff et al. 2023, arXiv 2305.16264).
SINGLE_SOURCE_DECAY = 15.4


def effective_epochs(epochs: Array, decay: Array | float) -> Array:
    """Readings of fresh text that teach as much as ``epochs`` readings of the same text.

    Equal to the epochs up to the first, then ``1 + decay (1 - exp(-(epochs - 1) / decay))``: the
    slope is continuous at one and falls to zero, so that repeats are never worth more than
    ``decay`` fresh readings (the form of arXiv 2605.12715 after Muennighoff et al. 2023).

    Args:
        epochs: Readings, not negative, any shape.
        decay: Repeats after which a further one is worth 1/e, positive, of that shape or a scalar.
    """
    repeats = np.maximum(epochs - 1, 0.0)
    effective: Array = np.minimum(epochs, 1.0) - decay * np.expm1(-repeats / decay)
    return effective


def marginal_value(epochs: Array, decay: Array | float) -> Array:
    """What one more token is worth after these readings, as a part of a fresh one, in (0, 1]."""
    value: Array = np.exp(-np.maximum(epochs - 1, 0.0) / decay)
    return value
