"""Points on the simplex: checking them, and computing them where exponents would overflow."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike

from policies.signals import Array

# Weights written by hand are rounded; weights that are wrong are off by more than this.
SUM_TOLERANCE = 1e-6


def check_weights(weights: ArrayLike, names: Sequence[str], option: str) -> Array:
    """A mixture that a user wrote down, checked and scaled to sum to one exactly.

    Args:
        weights: One weight per domain, shape (k,).
        names: The k domain names, for the error message.
        option: What the user calls these weights, for the error message.

    Returns:
        The weights divided by their sum, shape (k,).

    Raises:
        ValueError: A wrong length, a weight that is negative or not finite, or a sum that is not
            one to within 1e-6.
    """
    checked = np.asarray(weights, dtype=np.float64)
    if checked.shape != (len(names),):
        raise ValueError(f"{option} must have shape ({len(names)},), got {checked.shape}")
    bad = ~(np.isfinite(checked) & (checked >= 0))
    if bad.any():
        worst = int(np.argmax(bad))
        raise ValueError(
            f"{option} of {names[worst]!r} must be finite and not negative, got {checked[worst]}"
        )
    total = float(checked.sum())
    if abs(total - 1) > SUM_TOLERANCE:
        raise ValueError(f"{option} must sum to one, got {total:.9g}")
    return checked / total


def softmax(logits: Array) -> Array:
    """``exp(logits)`` scaled to sum to one, shape (k,); minus infinity gives exactly zero.

    At least one logit must be finite, and none may be NaN or plus infinity.
    """
    exponentials: Array = np.exp(logits - logits.max())
    return exponentials / float(exponentials.sum())


def tilt(prior: Array, exponent: Array) -> Array:
    """``prior * exp(exponent)`` scaled to sum to one, shape (k,).

    Computed in log space, so that exponents in the thousands do no harm. A domain whose prior is
    zero stays at zero.
    """
    with np.errstate(divide="ignore"):
        return softmax(np.log(prior) + exponent)
