"""Many domains over time as lines, a few of them named."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import SubElement

import numpy as np
from markupsafe import Markup

from policies import Array
from trainer.report.curves import Curves
from trainer.report.plane import ROOM, Label, Plane

_MOST_POINTS = 200
# The first points of a long curve may leave the picture: losses fall by bits there.
_EARLY = 0.08


def line_chart(
    title: str,
    curves: Curves,
    named: Sequence[str],
    colours: Mapping[str, str],
    *,
    form: str,
    rule: tuple[float, str] | None = None,
    from_zero: bool = False,
    mean: bool = False,
    room: int = ROOM,
) -> Markup:
    """Draw a line for each of the curves.

    Args:
        title: What the chart shows.
        curves: The lines.
        named: Those that have a colour and a label; the others are thin and grey.
        colours: CSS classes by name.
        form: How the last value of a line is written.
        rule: A value to compare with, and its meaning; left out where it lies far off.
        from_zero: Whether zero is in the picture.
        mean: Whether the mean over all lines is drawn too.
        room: Width left for labels.
    """
    curves = curves.thinned(_MOST_POINTS)
    low, high = _range(curves, from_zero=from_zero)
    if rule is not None and rule[0] <= 3 * high:
        high = max(high, 1.1 * rule[0])
    else:
        rule = None
    plane = Plane(title, (curves.steps[0], curves.steps[-1]), (low, high), room)
    others = [name for name in curves.names if name not in set(named)]
    # Named lines last, the first of them on top.
    for name in [*others, *reversed(named)]:
        column = curves.values[:, curves.names.index(name)]
        style = f"line {colours[name]}" if name in named else "line other"
        _draw(plane, curves.steps, column, style, name)
    if rule is not None:
        plane.rule(*rule)
    last = curves.last()
    labels = [Label(name, last[name], format(last[name], form), colours[name]) for name in named]
    if mean and len(curves.names) > 1:
        average = curves.mean()
        _draw(plane, curves.steps, average, "line mean", "mean")
        labels.append(Label("mean", float(average[-1]), format(average[-1], form), "mean"))
    plane.label(labels)
    return plane.markup()


def _range(curves: Curves, *, from_zero: bool) -> tuple[float, float]:
    late = curves.values[int(_EARLY * len(curves.steps)) :]
    known = late[np.isfinite(late)]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    low = min(low, 0.0) if from_zero else low
    margin = 0.03 * (high - low)
    return low - (0.0 if from_zero else margin), high + margin


def _draw(plane: Plane, steps: Array, values: Array, style: str, name: str) -> None:
    attributes = {"class": style, "d": _path(plane, steps, values), "data-name": name}
    SubElement(SubElement(plane.area, "path", attributes), "title").text = name


def _path(plane: Plane, steps: Array, values: Array) -> str:
    """Through the values that are there: a small language is not in every batch."""
    known = np.isfinite(values)
    points = [
        f"{plane.x(step):.1f} {plane.y(value):.1f}"
        for step, value in zip(steps[known].tolist(), values[known].tolist(), strict=True)
    ]
    # The line of no length is seen as a dot if the value is the only one.
    return f"M{points[0]}h0L{'L'.join(points)}" if points else ""
