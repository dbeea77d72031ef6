"""The mixture over time as a stacked area."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from policies import Array

_WIDTH, _HEIGHT, _LEFT, _BOTTOM, _TOP, _LEGEND = 900, 480, 48, 34, 14, 220
_INK = (60, 60, 60)
# So many languages have a line of their own in the legend.
_NAMED = 24


def mixture_picture(
    steps: Sequence[int], weights: Array, names: Sequence[str]
) -> NDArray[np.uint8]:
    """Shares over steps, the largest language of the last step on top: (height, width, 3).

    Args:
        steps: Increasing, at least one, n of them.
        weights: The mixture at each, shape (n, k).
        names: Of the k languages.
    """
    order = np.argsort(-weights[-1], kind="stable")
    colours = np.array([_colour(place, len(names)) for place in range(len(names))], dtype=np.uint8)
    # Every column of pixels shows the last mixture that was decided before it.
    shown = np.linspace(steps[0], steps[-1], _WIDTH)
    rows = np.searchsorted(np.asarray(steps), shown, side="right") - 1
    edges = np.cumsum(weights[:, order], axis=1)[rows]
    depth = (np.arange(_HEIGHT) + 0.5) / _HEIGHT
    layer = (depth[:, None, None] > edges[None, :, :-1]).sum(axis=2)
    area = colours[layer]
    size = (_LEFT + _WIDTH + _LEGEND, _TOP + _HEIGHT + _BOTTOM)
    picture = Image.new("RGB", size, "white")
    picture.paste(Image.fromarray(area), (_LEFT, _TOP))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(13)
    for part in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = _TOP + (1 - part) * _HEIGHT
        draw.text((_LEFT - 6, at), f"{part:.0%}", _INK, font, anchor="rm")
        step = round(steps[0] + part * (steps[-1] - steps[0]))
        draw.text((_LEFT + part * _WIDTH, _TOP + _HEIGHT + 8), f"{step:,}", _INK, font, anchor="mt")
    _write_legend(draw, font, colours, [names[one] for one in order], weights[-1][order])
    return np.asarray(picture)


def _colour(place: int, number: int) -> tuple[int, int, int]:
    """Neighbours differ in hue by a golden section and in lightness by turns."""
    hue = (place * 0.618034) % 1.0 if number > 10 else place / number
    red, green, blue = colorsys.hls_to_rgb(hue, (0.45, 0.62, 0.74)[place % 3], 0.55)
    return round(255 * red), round(255 * green), round(255 * blue)


def _write_legend(
    draw: ImageDraw.ImageDraw,
    font: ImageFont.FreeTypeFont | ImageFont.ImageFont,
    colours: NDArray[np.uint8],
    names: Sequence[str],
    shares: Array,
) -> None:
    left = _LEFT + _WIDTH + 16
    for place, (name, share) in enumerate(zip(names[:_NAMED], shares.tolist(), strict=False)):
        at = _TOP + 10 + place * 19
        draw.rectangle((left, at - 6, left + 12, at + 6), tuple(colours[place].tolist()))
        draw.text((left + 18, at), f"{name}  {share:.1%}", _INK, font, anchor="lm")
    if len(names) > _NAMED:
        rest = f"and {len(names) - _NAMED} more  {float(shares[_NAMED:].sum()):.1%}"
        draw.text((left, _TOP + 10 + _NAMED * 19), rest, _INK, font, anchor="lm")
