"""Simulated runs side by side as a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from policies.simulator.play import Played
from policies.simulator.scenario import Scenario

AREAS = 20


def draw(scenario: Scenario, played: Mapping[str, Played], path: Path) -> None:
    """Draw each policy's weights over time, stacked, above the losses of its domains.

    Args:
        scenario: The scenario that was played.
        played: One run of each policy.
        path: The file to write.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import FormatStrFormatter

    figure = Figure(figsize=(4.5 * len(played), 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(played), sharex=True, sharey="row", squeeze=False)
    # Areas of hundreds of domains would be hairlines; the widest stand for themselves, the rest
    # are one. A domain has the same colour and place beside every policy.
    widths = np.sum([one.mean_weights for one in played.values()], axis=0)
    widest = widths.argsort(kind="stable")[::-1][:AREAS]
    names = [scenario.domains[domain] for domain in widest]
    colours = [*matplotlib.colormaps["tab20"](range(len(widest)))]
    if scenario.num_domains > AREAS:
        names.append(f"{scenario.num_domains - AREAS} others")
        colours.append("lightgrey")
    for column, (name, one) in enumerate(played.items()):
        weights, losses = axes[:, column]
        heights = one.weights_path[:, widest].T
        if scenario.num_domains > AREAS:
            heights = np.vstack([heights, 1 - heights.sum(axis=0)])
        areas = weights.stackplot(one.steps, heights, colors=colours)
        weights.set_ylim(0, 1)
        weights.set_title(textwrap.fill(name, 40), fontsize="medium")
        counted = scenario.target > 0
        losses.plot(one.steps, one.losses_path[:, counted], linewidth=0.5, color="grey", alpha=0.5)
        losses.plot(one.steps, one.losses_path @ scenario.target, color="black", label="average")
        losses.set(xlabel="step", yscale="log")
        for axis in (losses.yaxis.set_major_formatter, losses.yaxis.set_minor_formatter):
            axis(FormatStrFormatter("%g"))
        losses.set_title(
            f"average regret {one.average_regret:.4f}, worst {one.worst_regret:.4f} "
            f"({scenario.domains[one.worst_domain]})",
            fontsize="small",
        )
    axes[0, 0].set_ylabel("weights")
    axes[1, 0].set_ylabel("held-out loss, bits per byte")
    axes[1, 0].legend()
    figure.legend(areas, names, loc="outside right upper", fontsize="small")
    figure.suptitle(f"scenario {scenario.name}", x=0.01, ha="left", fontsize="small")
    figure.savefig(path, dpi=120)
