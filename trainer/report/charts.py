"""The charts of a run: what each shows of which curves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from markupsafe import Markup

from trainer.report.area_chart import MOST_POINTS, area_chart
from trainer.report.curves import Curves
from trainer.report.highlights import colours, highest
from trainer.report.line_chart import line_chart
from trainer.report.run_record import RunRecord

# Text read more often than about this teaches less each time (Muennighoff et al., 2305.16264).
WORTHWHILE_EPOCHS = 4.0
_LOSSES = {
    "Validation, bits per byte": "validation/bits_per_byte",
    "Training, bits per byte": "train/bits_per_byte",
}
_ROOM_FOR_CONSTRAINTS = 260
_NOTHING = Curves(np.zeros(0), (), np.zeros((0, 0)))


class Chart(NamedTuple):
    """A picture with what stands above and below it."""

    heading: str
    picture: Markup
    remark: str


def charts(run: RunRecord) -> dict[str, list[Chart]]:
    """Those there is something to draw in, by section of the page.

    A language has the same colour in all of them.
    """
    shares = run.curves.get("mixture/weight", _NOTHING).complete()
    proposed = run.curves.get("constraints/proposed", _NOTHING).complete()
    epochs = run.curves.get("mixture/epochs", _NOTHING)
    losses = [(heading, run.curves.get(group, _NOTHING)) for heading, group in _LOSSES.items()]
    losses = [(heading, curves) for heading, curves in losses if len(curves.steps)]
    largest = highest(dict(zip(shares.names, _means(shares), strict=True)))
    # The last validation says who is worst; the last batch does where there is none.
    worst = highest(losses[0][1].last()) if losses else []
    most_read = highest(epochs.last())
    palette = colours([*worst, *most_read, *largest])
    mixture, bounds = [], []
    if len(shares.steps):
        mixture.append(_areas("Weights", shares, largest, palette))
    if len(epochs.steps):
        mixture.append(_repetition(epochs, most_read, palette))
    if len(proposed.steps) and set(proposed.names) == set(shares.names):
        bounds.append(_areas("What the policy proposed", proposed, largest, palette))
    return {
        "mixture": mixture,
        "losses": [_loss(heading, curves, worst, palette) for heading, curves in losses],
        "constraints": bounds + _prices(run),
    }


def _areas(heading: str, shares: Curves, named: list[str], palette: Mapping[str, str]) -> Chart:
    picture = area_chart(f"{heading} over time", shares, named, palette)
    remarks = []
    if len(shares.steps) > MOST_POINTS:
        remarks.append("Means over neighbouring steps.")
    if len(shares.names) > len(named):
        remarks.append(f"The {len(named)} largest have areas of their own.")
    return Chart(heading, picture, " ".join(remarks))


def _loss(heading: str, curves: Curves, worst: list[str], palette: Mapping[str, str]) -> Chart:
    last = curves.last()
    named = [name for name in worst if name in last]
    picture = line_chart(f"{heading} over time", curves, named, palette, form=".3f", mean=True)
    return Chart(heading, picture, _counted(curves, named, "worst"))


def _repetition(epochs: Curves, named: list[str], palette: Mapping[str, str]) -> Chart:
    often = [name for name, value in epochs.last().items() if value > WORTHWHILE_EPOCHS]
    picture = line_chart(
        "epochs over time",
        epochs,
        named,
        palette,
        form=".2f",
        rule=(WORTHWHILE_EPOCHS, f"{WORTHWHILE_EPOCHS:g} epochs"),
        from_zero=True,
    )
    remark = f"Read more than {WORTHWHILE_EPOCHS:g} times: {len(often) or 'none'}"
    remark += f" of {len(epochs.names)}. " + _counted(epochs, named, "most read")
    return Chart("Epochs", picture, remark.strip())


def _prices(run: RunRecord) -> list[Chart]:
    found = []
    for group, heading, remark in (
        ("price", "Prices", "What the objective would gain per unit of share."),
        ("loosened", "Loosened", "1 where a constraint could not be kept, averaged over steps."),
    ):
        curves = run.curves.get(f"constraints/{group}", _NOTHING)
        if not np.nansum(np.abs(curves.values)):
            continue
        named = highest(dict(zip(curves.names, _means(curves), strict=True)))
        picture = line_chart(
            f"{heading} of constraints over time",
            curves,
            named,
            colours(named),
            form=".3g",
            from_zero=True,
            room=_ROOM_FOR_CONSTRAINTS,
        )
        found.append(Chart(heading, picture, remark))
    return found


def _means(curves: Curves) -> list[float]:
    """Of each curve over all steps, what is missing counted as zero."""
    sums: list[float] = np.nansum(curves.values, axis=0).tolist()
    return [value / max(1, len(curves.steps)) for value in sums]


def _counted(curves: Curves, named: list[str], which: str) -> str:
    others = len(curves.names) - len(named)
    return f"The {len(named)} {which} are named; point at a line for its name." if others else ""
