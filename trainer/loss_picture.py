"""Bits per byte of every language over time, each in its own colour.

In TensorBoard's charts all lines of a run have the run's colour.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from policies import Array
from trainer.picture_frame import Frame, colours


def loss_picture(steps: Sequence[int], losses: Array, names: Sequence[str]) -> NDArray[np.uint8]:
    """Losses over steps, the worst language of the end first in the legend: (height, width, 3).

    Args:
        steps: Increasing, at least one, n of them.
        losses: Bits per byte at each, shape (n, k); what is not finite is left out.
        names: Of the k languages.
    """
    known = losses[np.isfinite(losses)]
    low, high = (known.min(), known.max()) if known.size else (0.0, 1.0)
    frame = Frame((steps[0], steps[-1]), (float(low), float(high)), ".2f")
    entries = []
    for colour, name, column in zip(colours(len(names)), names, losses.T, strict=True):
        points = [
            (frame.x(step), frame.y(loss))
            for step, loss in zip(steps, column.tolist(), strict=True)
            if np.isfinite(loss)
        ]
        if points:
            frame.draw.line(points, colour, width=3, joint="curve")
            frame.draw.circle(points[-1], 4, colour)
        entries.append((column[-1], colour, f"{name}  {column[-1]:.3f}"))
    entries.sort(key=lambda entry: -np.nan_to_num(entry[0]))
    frame.legend([(colour, text) for _, colour, text in entries])
    return frame.pixels()
