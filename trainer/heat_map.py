"""A matrix between domains as a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policies import Array

_LEAST_PIXELS = 256
_HELPS, _HARMS = np.array([27, 120, 55]), np.array([150, 40, 90])


def heat_map(matrix: Array) -> NDArray[np.uint8]:
    """Green where positive, purple where negative, white at zero: (height, width, 3).

    Row 0 is on top. Each entry is a square; the strongest one has the full colour.
    """
    strongest = float(np.abs(matrix).max(initial=0.0))
    strength = np.abs(matrix / strongest if strongest > 0 else matrix)[..., None]
    colour = np.where(matrix[..., None] > 0, _HELPS, _HARMS)
    small = np.round(255 + strength * (colour - 255)).astype(np.uint8)
    scale = max(1, -(-_LEAST_PIXELS // len(matrix)))
    picture: NDArray[np.uint8] = small.repeat(scale, axis=0).repeat(scale, axis=1)
    return picture
