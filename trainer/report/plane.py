"""The plane that a chart is drawn in: scales, ticks, grid, names at the right."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

WIDTH, HEIGHT = 600, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 48, 138, 8, 36
_LONGEST_NAME = 15
_LABEL_HEIGHT = 14.0


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
    """

    def __init__(self, title: str, steps: tuple[float, float], values: tuple[float, float]) -> None:
        self._steps, self._values = _widened(*steps), _widened(*values)
        self._root = Element(
            "svg", {"viewBox": f"0 0 {WIDTH} {HEIGHT}", "role": "img", "aria-label": title}
        )
        self._width, self._height = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
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
            text.text = f"{shortened(label.name)} {label.text}".rstrip()
            SubElement(group, "title").text = label.name

    def markup(self) -> Markup:
        """The picture, to stand in an HTML page."""
        return Markup(tostring(self._root, encoding="unicode"))


def shortened(name: str) -> str:
    """A name that fits beside a chart."""
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "\u2026"


def ticks(low: float, high: float) -> list[float]:
    """Round numbers between two others, four to ten of them."""
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    size = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= raw * 0.999)
    first = math.ceil(low / size - 1e-9)
    last = math.floor(high / size + 1e-9)
    return [number * size for number in range(first, last + 1)]


def spread(wanted: Sequence[float], gap: float, limit: float) -> list[float]:
    """Places in [0, limit], near those wanted and in their order, a gap apart if they fit."""
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    gap = min(gap, limit / max(1, len(wanted) - 1))
    places = [0.0] * len(wanted)
    least = 0.0
    for index in order:
        places[index] = max(wanted[index], least)
        least = places[index] + gap
    most = limit
    for index in reversed(order):
        places[index] = min(places[index], most)
        most = places[index] - gap
    return places


def _widened(low: float, high: float) -> tuple[float, float]:
    """A range that is not a point."""
    if high > low:
        return low, high
    around = 0.5 * abs(low) or 0.5
    return low - around, high + around
