"""The plane that a chart is drawn in: scales, ticks, grid, names at the right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

import numpy as np
from markupsafe import Markup
from scipy.optimize import isotonic_regression

WIDTH, HEIGHT = 600, 340
ROOM = 138
_LEFT, _TOP, _BOTTOM = 48, 8, 36
_LABEL_HEIGHT, _LETTER_WIDTH = 14.0, 6.6


class Label(NamedTuple):
    """A name beside the end of a curve.

    Attributes:
        name: What the curve is of.
        value: Where it ends.
        text: What stands after the name.
        colour: CSS class of its colour.
    """

    name: str
    value: float
    text: str
    colour: str


class Plane:
    """An SVG picture with steps to the right and values upwards.

    Args:
        title: What the chart shows, for those who do not see it.
        steps: First and last step.
        values: Least and largest value; what lies outside is cut off.
        room: Width left for labels.
    """

    def __init__(
        self,
        title: str,
        steps: tuple[float, float],
        values: tuple[float, float],
        room: int = ROOM,
    ) -> None:
        self._steps, self._values = widened(*steps), widened(*values)
        self._root = Element(
            "svg", {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "aria-label": title}
        )
        self._letters = int((room - 17) / _LETTER_WIDTH)
        self._width, self._height = WIDTH - _LEFT - room, HEIGHT - _TOP - _BOTTOM
        self._axes()
        # A picture in the picture cuts off what leaves it.
        self.area = SubElement(
            self._root,
            "svg",
            {
                "x": str(_LEFT),
                "y": str(_TOP),
                "width": str(self._width),
                "height": str(self._height),
            },
        )

    def x(self, step: float) -> float:
        low, high = self._steps
        return self._width * (step - low) / (high - low)

    def y(self, value: float) -> float:
        low, high = self._values
        return self._height * (high - value) / (high - low)

    def _axes(self) -> None:
        grid = SubElement(self._root, "g", {"class": "grid"})
        for value in ticks(*self._values):
            y = _TOP + self.y(value)
            line = {"x1": str(_LEFT), "x2": str(_LEFT + self._width)}
            SubElement(grid, "line", line | {"y1": f"{y:.1f}", "y2": f"{y:.1f}"})
            place = {"x": str(_LEFT - 6), "y": f"{y + 4:.1f}", "text-anchor": "end"}
            SubElement(grid, "text", place).text = f"{value:,.10g}"
        for step in ticks(*self._steps):
            place = {"x": f"{_LEFT + self.x(step):.1f}", "text-anchor": "middle"}
            text = SubElement(grid, "text", place | {"y": str(_TOP + self._height + 16)})
            text.text = f"{step:,.10g}"
        place = {"x": str(_LEFT + self._width), "y": str(HEIGHT - 6), "text-anchor": "end"}
        SubElement(grid, "text", place).text = "optimiser step"

    def rule(self, value: float, text: str) -> None:
        """A line across the chart, with its meaning."""
        y = f"{self.y(value):.1f}"
        SubElement(self.area, "line", {"class": "rule", "x2": str(self._width), "y1": y, "y2": y})
        place = {"class": "rule", "x": "6", "y": f"{self.y(value) - 5:.1f}"}
        SubElement(self.area, "text", place).text = text

    def label(self, labels: Sequence[Label]) -> None:
        """Write names at the right, as near to their values as they do not overlap."""
        wanted = [min(max(self.y(label.value), 0.0), self._height) for label in labels]
        for label, y in zip(labels, spread(wanted, _LABEL_HEIGHT, self._height), strict=True):
            group = SubElement(
                self._root, "g", {"class": f"label {label.colour}", "data-name": label.name}
            )
            left = _LEFT + self._width
            dot = {"cx": str(left + 9), "cy": f"{_TOP + y:.1f}", "r": "4"}
            SubElement(group, "circle", dot)
            text = SubElement(group, "text", {"x": str(left + 17), "y": f"{_TOP + y + 4:.1f}"})
            name = shortened(label.name, self._letters - len(label.text) - 1)
            text.text = f"{name} {label.text}"
            SubElement(group, "title").text = label.name

    def markup(self) -> Markup:
        """The picture, to stand in an HTML page."""
        return Markup(tostring(self._root, encoding="unicode"))


def shortened(name: str, most: int) -> str:
    """A name in so many letters, the last of which tells that there were more."""
    return name if len(name) <= most else name[: most - 1] + "\u2026"


def ticks(low: float, high: float) -> list[float]:
    """Round numbers between two others, two to six of them."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    size = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / size - 1e-9)
    last = math.floor(high / size + 1e-9)
    return [number * size for number in range(first, last + 1)]


def spread(wanted: Sequence[float], gap: float, limit: float) -> list[float]:
    """Places in [0, limit], nearest to those wanted, in their order and a gap apart if they fit."""
    if not wanted:
        return []
    order = np.argsort(wanted, kind="stable")
    gap = min(gap, limit / max(1, len(wanted) - 1))
    # Less the gaps that must lie before each, the places need only not decrease.
    before = gap * np.arange(len(wanted))
    nearest = isotonic_regression(np.array(wanted)[order] - before).x
    places = np.empty(len(wanted))
    places[order] = np.clip(nearest, 0.0, limit - before[-1]) + before
    found: list[float] = places.tolist()
    return found


def widened(low: float, high: float) -> tuple[float, float]:
    """A range that is not a point."""
    if high > low:
        return low, high
    around = 0.5 * abs(low) or 0.5
    return low - around, high + around
