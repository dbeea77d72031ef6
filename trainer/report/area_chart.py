"""A mixture over time as areas on top of each other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from xml.etree.ElementTree import SubElement

import numpy as np
from markupsafe import Markup

from trainer.report.curves import Curves
from trainer.report.plane import Label, Plane

# Few: policies that explore move the mixture to and fro, and the means over that are what counts.
MOST_POINTS = 50
_OTHERS = "other"


def area_chart(
    title: str, curves: Curves, named: Sequence[str], colours: Mapping[str, str]
) -> Markup:
    """Draw shares that sum to one; of many steps, the means over neighbouring ones.

    Args:
        title: What the chart shows.
        curves: The shares, all known at every step.
        named: Those with an area of their own, the first at the bottom; the others are one area.
        colours: CSS classes by name.
    """
    curves = curves.thinned(MOST_POINTS)
    steps, shares = curves.steps, curves.select(named).values
    names, styles = list(named), [colours[name] for name in named]
    if len(named) < len(curves.names):
        rest = curves.values.sum(axis=1) - shares.sum(axis=1)
        shares = np.column_stack([shares, rest])
        names.append(f"{len(curves.names) - len(named)} others")
        styles.append(_OTHERS)
    if len(steps) == 1:  # An area needs some width.
        steps, shares = steps[0] + np.array([-0.5, 0.5]), shares.repeat(2, axis=0)
    plane = Plane(title, (steps[0], steps[-1]), (0.0, 1.0))
    edges = np.column_stack([np.zeros(len(steps)), shares.cumsum(axis=1)])
    labels = []
    for number, (name, style) in enumerate(zip(names, styles, strict=True)):
        lower, upper = edges[:, number], edges[:, number + 1]
        corners = [*zip(steps, upper, strict=True), *zip(steps[::-1], lower[::-1], strict=True)]
        path = "L".join(f"{plane.x(step):.1f} {plane.y(value):.1f}" for step, value in corners)
        attributes = {"class": f"area {style}", "d": f"M{path}Z", "data-name": name}
        SubElement(SubElement(plane.area, "path", attributes), "title").text = name
        middle = float(lower[-1] + upper[-1]) / 2
        labels.append(Label(name, middle, f"{shares[-1, number]:.3f}", style))
    plane.label(labels)
    return plane.markup()
