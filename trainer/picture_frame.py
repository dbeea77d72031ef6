"""What pictures over optimiser steps have in common: axes, a legend, a colour for each language.

TensorBoard first shows a picture some 350 pixels wide, so letters are large for its size.
"""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from trainer.report.plane import ticks, widened

Colour: TypeAlias = tuple[int, int, int]
WIDTH, HEIGHT = 420, 400
LEFT, TOP = 62, 14
_LEGEND, _BOTTOM, _LETTERS, _SPACING = 190, 38, 19, 25
_INK, _GRID = (60, 60, 60), (225, 225, 225)
# Lines that the legend has room for.
_LINES = 16


class Frame:
    """A picture with axes, to be drawn in.

    Args:
        steps: First and last optimiser step.
        values: Least and largest value.
        form: How values are written on their axis.
    """

    def __init__(self, steps: tuple[float, float], values: tuple[float, float], form: str) -> None:
        self._steps, self._values = widened(*steps), widened(*values)
        size = (LEFT + WIDTH + _LEGEND, TOP + HEIGHT + _BOTTOM)
        self.picture = Image.new("RGB", size, "white")
        self.draw = ImageDraw.Draw(self.picture)
        self._font = ImageFont.load_default(_LETTERS)
        for value in ticks(*self._values):
            at = self.y(value)
            self.draw.line((LEFT, at, LEFT + WIDTH, at), _GRID)
            self.draw.text((LEFT - 6, at), format(value, form), _INK, self._font, anchor="rm")
        for step in ticks(*self._steps)[::2]:
            place = (self.x(step), TOP + HEIGHT + 8)
            self.draw.text(place, f"{step:,.10g}", _INK, self._font, anchor="mt")

    def x(self, step: float) -> float:
        low, high = self._steps
        return LEFT + WIDTH * (step - low) / (high - low)

    def y(self, value: float) -> float:
        low, high = self._values
        return TOP + HEIGHT * (high - value) / (high - low)

    def legend(self, entries: Sequence[tuple[Colour, str]]) -> None:
        """Write texts beside their colours at the right, from the top.

        Of more than there is room for, the first and the last are written.
        """
        lines: list[tuple[Colour, str]] = list(entries)
        if len(lines) > _LINES:
            left_out = len(lines) - _LINES + 1
            first = _LINES // 2
            lines[first : first + left_out] = [((255, 255, 255), f"{left_out} more")]
        left = LEFT + WIDTH + 12
        for place, (colour, text) in enumerate(lines):
            at = TOP + 10 + place * _SPACING
            self.draw.rectangle((left, at - 8, left + 16, at + 8), colour)
            self.draw.text((left + 24, at), text, _INK, self._font, anchor="lm")

    def pixels(self) -> NDArray[np.uint8]:
        """The picture, shape (height, width, 3)."""
        return np.asarray(self.picture)


def colours(number: int) -> list[Colour]:
    """Of so many languages in their order: neighbours differ in hue and in lightness."""
    found = []
    for place in range(number):
        hue = (place * 0.618034) % 1.0 if number > 10 else place / number
        parts = colorsys.hls_to_rgb(hue, (0.45, 0.62, 0.74)[place % 3], 0.55)
        found.append((round(255 * parts[0]), round(255 * parts[1]), round(255 * parts[2])))
    return found
