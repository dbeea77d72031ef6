"""A matrix between languages as a picture with their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from policies import Array

Font: TypeAlias = ImageFont.FreeTypeFont | ImageFont.ImageFont
# The least side of the matrix in pixels, and the largest of an entry. TensorBoard first shows a
# picture some 350 pixels wide, so letters are as large as their row allows.
_LEAST, _LARGEST_ENTRY = 512, 64
_HELPS, _HARMS, _UNKNOWN = np.array([27, 120, 55]), np.array([150, 40, 90]), np.array([200] * 3)
_MARGIN, _INK = 6, (60, 60, 60)
# Smaller letters cannot be read: of many names only every second, third, ... is written.
_SMALLEST_LETTERS, _LARGEST_LETTERS = 11, 22


def heat_map(matrix: Array, names: Sequence[str]) -> NDArray[np.uint8]:
    """Green where positive, purple where negative, white at zero: (height, width, 3).

    Rows, from the top, are the languages evaluated and columns those trained on. What is not
    finite is grey. What a language does for itself is often many times what it does for others, so
    the strongest entry between two different ones has the full colour; small matrices have their
    numbers written in, in percent of that entry.

    Args:
        matrix: Shape (k, k).
        names: Of the k languages.
    """
    entry = min(_LARGEST_ENTRY, max(1, -(-_LEAST // len(names))))
    colours = _colours(matrix).repeat(entry, axis=0).repeat(entry, axis=1)
    letters = max(_SMALLEST_LETTERS, min(_LARGEST_LETTERS, entry - 2))
    font = ImageFont.load_default(letters)
    every = -(-(letters + 2) // entry)
    left = round(max(font.getlength(name) for name in names)) + 2 * _MARGIN
    side = entry * len(names)
    picture = Image.new("RGB", (left + side, left + side), "white")
    picture.paste(Image.fromarray(colours), (left, left))
    draw = ImageDraw.Draw(picture)
    for place, name in list(enumerate(names))[::every]:
        middle = left + place * entry + entry / 2
        draw.text((left - _MARGIN, middle), name, _INK, font, anchor="rm")
        picture.paste(*_upwards(name, font, letters, round(middle), left - _MARGIN))
    if entry >= 36:
        _write_numbers(draw, matrix, left, entry)
    return np.asarray(picture)


def strongest(matrix: Array) -> float:
    """The largest effect between two different languages, or at all if there is none between."""
    known = np.abs(np.where(np.isfinite(matrix), matrix, 0.0))
    between = known[~np.eye(len(known), dtype=bool)].max(initial=0.0)
    return float(between if between > 0 else known.max(initial=0.0))


def _colours(matrix: Array) -> NDArray[np.uint8]:
    known = np.isfinite(matrix)
    finite = np.where(known, matrix, 0.0)
    full = strongest(matrix)
    strength = np.minimum(np.abs(finite / full if full > 0 else finite), 1.0)[..., None]
    colour = np.where(finite[..., None] > 0, _HELPS, _HARMS)
    shaded = np.where(known[..., None], 255 + strength * (colour - 255), _UNKNOWN)
    return np.round(shaded).astype(np.uint8)


def _upwards(
    name: str, font: Font, letters: int, middle: int, bottom: int
) -> tuple[Image.Image, tuple[int, int]]:
    """A column's name, written from the bottom to the top, and where it goes."""
    length, height = round(font.getlength(name)) + 1, letters + 4
    label = Image.new("RGB", (length, height), "white")
    ImageDraw.Draw(label).text((0, height / 2), name, _INK, font, anchor="lm")
    return label.rotate(90, expand=True), (middle - height // 2, bottom - length)


def _write_numbers(draw: ImageDraw.ImageDraw, matrix: Array, left: int, entry: int) -> None:
    font = ImageFont.load_default(entry // 3)
    full = strongest(matrix)
    for (row, column), value in np.ndenumerate(matrix):
        if not (np.isfinite(value) and full > 0):
            continue
        ink = "white" if abs(value) > 0.6 * full else _INK
        place = (left + (column + 0.5) * entry, left + (row + 0.5) * entry)
        draw.text(place, f"{100 * value / full:.0f}", ink, font, anchor="mm")
