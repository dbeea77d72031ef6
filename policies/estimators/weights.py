"""Importance weights made smaller: less variance for some bias."""

from __future__ import annotations

import numpy as np

from policies.signals import Array


def clipped(weight: Array, limit: float) -> Array:
    """``min(w, limit)``, shape (n,)."""
    return np.minimum(weight, _checked(limit))


def switched(weight: Array, limit: float) -> Array:
    """``w`` where it is at most ``limit``, else zero, shape (n,)."""
    return np.where(weight <= _checked(limit), weight, 0.0)


def shrunken(weight: Array, limit: float) -> Array:
    """``limit w / (w^2 + limit)``, shape (n,): about ``w`` while its square is far below it."""
    if _checked(limit) == 0:
        return np.zeros_like(weight)
    # So written that an infinite limit leaves the weights alone.
    return weight / (weight**2 / limit + 1)


def _checked(limit: float) -> float:
    if not limit >= 0:
        raise ValueError(f"the limit of importance weights must not be negative, got {limit}")
    return limit
