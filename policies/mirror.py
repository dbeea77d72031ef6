"""The step of exponentiated gradient, on which several published rules agree."""

from __future__ import annotations

import numpy as np

from policies.signals import Array
from policies.simplex import tilt


def mirror_step(weights: Array, gain: Array, smoothing: float = 0.0) -> Array:
    """``weights * exp(gain)`` scaled to sum to one, then mixed with an even share; shape (k,).

    A domain whose weight is zero is left out of the even share too and stays at zero.

    Args:
        weights: The mixture to start from, shape (k,).
        gain: What to add to the logarithm of each weight, finite, shape (k,).
        smoothing: Part that is shared evenly, in [0, 1].
    """
    tilted = tilt(weights, gain)
    if smoothing == 0:
        return tilted
    even = np.where(weights > 0, 1 / np.count_nonzero(weights), 0.0)
    stepped: Array = (1 - smoothing) * tilted + smoothing * even
    return stepped
