"""The mixture over time as a stacked area."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from policies import Array
from trainer.picture_frame import HEIGHT, LEFT, TOP, WIDTH, Frame, colours
from trainer.report.area_chart import MOST_POINTS
from trainer.report.curves import Curves


def mixture_picture(
    steps: Sequence[int], weights: Array, names: Sequence[str]
) -> NDArray[np.uint8]:
    """Shares over steps, the largest language of the end on top: (height, width, 3).

    Of many steps the means over neighbouring ones are shown: policies that explore move the
    mixture to and fro.

    Args:
        steps: Increasing, at least one, n of them.
        weights: The mixture at each, shape (n, k).
        names: Of the k languages.
    """
    means = Curves(np.asarray(steps, dtype=np.float64), tuple(names), weights).thinned(MOST_POINTS)
    # The last mean but one is the last over several steps.
    final = means.values[-2 if len(steps) > MOST_POINTS else -1]
    order = np.argsort(-final, kind="stable")
    frame = Frame((steps[0], steps[-1]), (0.0, 1.0), ".0%")
    palette = colours(len(names))
    shown = np.linspace(steps[0], steps[-1], WIDTH)
    shares = [np.interp(shown, means.steps, means.values[:, place]) for place in order]
    edges = np.cumsum(shares, axis=0)
    depth = (np.arange(HEIGHT) + 0.5) / HEIGHT
    layer = (depth[:, None, None] > edges.T[None, :, :-1]).sum(axis=2)
    area = np.array([palette[place] for place in order], dtype=np.uint8)[layer]
    frame.picture.paste(Image.fromarray(area), (LEFT, TOP))
    entries = [(palette[place], f"{names[place]}  {final[place]:.1%}") for place in order]
    frame.legend(entries)
    return frame.pixels()
