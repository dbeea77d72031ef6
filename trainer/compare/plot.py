"""A comparison as a picture."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from trainer.compare.outcome import Outcome
from trainer.compare.standings import Standing
from trainer.compare.statistics import Paired

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw(standings: Sequence[Standing], baseline: str, path: Path) -> None:
    """Draw the mean loss over the cost, and the differences to the baseline with their intervals.

    Args:
        standings: All policies against the baseline.
        baseline: Name of the baseline.
        path: The file to write.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FormatStrFormatter

    figure = Figure(figsize=(15, 1.5 + max(3.0, 0.4 * len(standings))), layout="constrained")
    FigureCanvasAgg(figure)
    curves, means, worsts = figure.subplots(1, 3, width_ratios=(1.2, 1, 1))
    colours = matplotlib.colormaps["tab20"](range(len(standings)))
    for standing, colour in zip(standings, colours, strict=True):
        for run in standing.runs:
            label = standing.name if run is standing.runs[0] else None
            width = 2.0 if standing.name == baseline else 1.0
            curves.plot(*run.curve, color=colour, linewidth=width, label=label)
    curves.set(xlabel="total cost, tokens", ylabel="bits per byte, mean over domains", yscale="log")
    for axis in (curves.yaxis.set_major_formatter, curves.yaxis.set_minor_formatter):
        axis(FormatStrFormatter("%g"))
    curves.set_title("validation, a line per seed", fontsize="medium")
    if any(standing.runs for standing in standings):
        curves.legend(fontsize="small")
    others = [standing for standing in standings if standing.name != baseline]
    base = next(standing for standing in standings if standing.name == baseline)
    _differences(means, others, base, lambda one: one.mean_difference, lambda run: run.mean)
    means.set_title(f"mean, difference to {baseline}", fontsize="medium")
    _differences(worsts, others, base, lambda one: one.worst_difference, lambda run: run.worst)
    worsts.set_title(f"worst domain, difference to {baseline}", fontsize="medium")
    figure.savefig(path, dpi=120)


def _differences(
    axes: Axes,
    others: Sequence[Standing],
    base: Standing,
    pair: Callable[[Standing], Paired],
    number: Callable[[Outcome], float],
) -> None:
    """A row per policy: the mean difference, its interval, and a dot for each seed."""
    by_seed = {run.seed: number(run) for run in base.runs}
    for row, standing in enumerate(others):
        found = pair(standing)
        half = 0.0 if math.isnan(found.half) else found.half
        style = "o" if found.clear else "."
        axes.errorbar(found.difference, row, xerr=half, fmt=style, color="black", capsize=3)
        dots = [number(run) - by_seed[run.seed] for run in standing.runs if run.seed in by_seed]
        axes.plot(dots, np.full(len(dots), row), "|", color="grey")
    axes.axvline(0.0, color="grey", linewidth=0.8)
    axes.set_yticks(range(len(others)), [standing.name for standing in others])
    axes.invert_yaxis()
    axes.set_xlabel("bits per byte; left of zero is better")
