"""Training losses as published rules take them, without the sequences that cannot be right."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policies.feedback import LN2, Feedback, ratio
from policies.signals import MAX_LOSS, Array, LossUnit


def sequence_losses(feedback: Feedback, unit: LossUnit) -> tuple[NDArray[np.int64], Array]:
    """Domain and loss of each sequence whose loss is between 0 and `MAX_LOSS`, shapes (m,)."""
    loss = ratio(feedback.sequence_loss, _sizes(feedback, unit))
    use = (loss >= 0) & (loss <= MAX_LOSS[unit])
    return feedback.sequence_domain[use], loss[use]


def domain_losses(feedback: Feedback, unit: LossUnit) -> Array:
    """Mean loss of each domain over those sequences' tokens or bytes, shape (k,); NaN of none."""
    size = _sizes(feedback, unit)
    loss = ratio(feedback.sequence_loss, size)
    use = (loss >= 0) & (loss <= MAX_LOSS[unit])
    domain, size = feedback.sequence_domain[use], size[use]
    total, whole = (
        np.bincount(domain, values, feedback.num_domains).astype(np.float64)
        for values in (loss[use] * size, size)
    )
    return ratio(total, whole)


def _sizes(feedback: Feedback, unit: LossUnit) -> Array:
    """What a sequence's loss is divided by, shape (n,)."""
    return LN2 * feedback.sequence_bytes if unit == "bits_per_byte" else feedback.sequence_tokens
