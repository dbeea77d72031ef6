"""A matrix between domains as coloured squares with the domains' names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
from markupsafe import Markup

from trainer.heat_map import strongest
from trainer.report.plane import shortened

_WIDTH = 460
_LEAST_SQUARE, _LARGEST_SQUARE = 11, 40
_FONT, _LETTERS = 11, 14


class HeatChart(NamedTuple):
    """A picture and the value that has its full colour."""

    picture: Markup
    strongest: float


def heat_chart(
    title: str, matrix: Sequence[Sequence[float | None]], names: Sequence[str]
) -> HeatChart:
    """Draw a matrix; green is positive, purple negative, and what is not known is left empty.

    What a domain does for itself is often many times what it does for others, so the strongest
    effect between two different domains has the full colour.

    Args:
        title: What it is.
        matrix: Rows are the domains evaluated, columns those trained on.
        names: Of the domains.
    """
    values = np.array(matrix, dtype=np.float64)
    full = strongest(values)
    square = min(max(_WIDTH // len(names), _LEAST_SQUARE), _LARGEST_SQUARE)
    margin = 12 + 0.62 * _FONT * max(len(shortened(name, _LETTERS)) for name in names)
    size = f"{margin + square * len(names) + 4:.0f}"
    root = Element("svg", {"width": size, "height": size, "role": "img", "aria-label": title})
    root.set("class", "heat")
    for place, name in enumerate(names):
        middle = margin + square * (place + 0.5)
        _name(root, name, {"x": f"{margin - 6:.0f}", "y": f"{middle + 4:.1f}"}, "end")
        turned = f"translate({middle + 4:.1f} {margin - 6:.0f}) rotate(-90)"
        _name(root, name, {"transform": turned}, "start")
    squares = SubElement(root, "g", {"transform": f"translate({margin:.0f} {margin:.0f})"})
    for row, column in np.argwhere(np.isfinite(values)).tolist():
        value = float(values[row, column])
        strength = min(1.0, abs(value) / full) if full > 0 else 0.0
        attributes = {
            "class": "helps" if value > 0 else "harms",
            "fill-opacity": f"{strength:.2f}",
            "d": f"M{column * square} {row * square}h{square}v{square}h-{square}z",
        }
        cell = SubElement(squares, "path", attributes)
        text = f"{names[row]} evaluated, {names[column]} trained on: {value:.4g}"
        SubElement(cell, "title").text = text
    return HeatChart(Markup(tostring(root, encoding="unicode")), full)


def _name(root: Element, name: str, place: dict[str, str], anchor: str) -> None:
    text = SubElement(root, "text", {**place, "text-anchor": anchor, "font-size": str(_FONT)})
    text.text = shortened(name, _LETTERS)
    SubElement(text, "title").text = name
