"""Runs side by side as a plain-text table, one row per domain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from trainer.summary import load_summary

_COLUMNS = {
    "tokens": ("tokens", "{:,.0f}"),
    "epochs": ("epochs", "{:.2f}"),
    "weight": ("mean_weight", "{:.3f}"),
    "bits/byte": ("validation_bits_per_byte", "{:.4f}"),
}


def show(runs: list[Path]) -> None:
    """Print what runs came to: tokens, epochs, mean weight and held-out bits per byte per domain.

    Args:
        runs: Folders of runs, finished or under way, over the same domains.
    """
    print(render([(str(run), load_summary(run)) for run in runs]))


def render(runs: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """The table of several runs' summaries, largest domain first.

    Raises:
        ValueError: There are no runs, or they have different domains.
    """
    if not runs:
        raise ValueError("name at least one run folder")
    first = runs[0][1]["domains"]
    for name, summary in runs[1:]:
        if set(summary["domains"]) != set(first):
            raise ValueError(
                f"runs must have the same domains to stand side by side; {name} has "
                f"{', '.join(summary['domains'])}, {runs[0][0]} has {', '.join(first)}"
            )
    lines = [["", *([title for _ in runs for title in _COLUMNS])]]
    lines += [[domain, *_cells(runs, domain)] for domain in first]
    lines.append(["mean", *_aggregate(runs, mean=True)])
    lines.append(["worst", *_aggregate(runs, mean=False)])
    legend = [
        f"{_letter(number)}: {name}  {summary['policy']}, step {summary['step']} of "
        f"{summary['max_steps']}{'' if summary['finished'] else ' (unfinished)'}"
        for number, (name, summary) in enumerate(runs)
    ]
    return "\n".join([*legend, "", *_align(lines, len(runs)), *_constraints(runs)])


def _constraints(runs: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    """What the constraints of each run came to, one line each."""
    lines = []
    for number, (_, summary) in enumerate(runs):
        for entry in summary.get("constraints", ()):
            line = (
                f"{_letter(number)}: {entry['constraint']}  binding in "
                f"{entry['binding_steps']} of {summary['step']} steps"
            )
            for unit, price in entry["mean_price"].items():
                line += f", costs {price:.3g} {unit} per share"
            if entry["relaxed_steps"]:
                line += f", loosened in {entry['relaxed_steps']}"
            lines.append(line)
    return ["", "constraints", *lines] if lines else []


def _cells(runs: Sequence[tuple[str, dict[str, Any]]], domain: str) -> list[str]:
    cells = []
    for _, summary in runs:
        for key, form in _COLUMNS.values():
            value = summary["domains"][domain].get(key)
            cells.append("-" if value is None else form.format(value))
    return cells


def _aggregate(runs: Sequence[tuple[str, dict[str, Any]]], *, mean: bool) -> list[str]:
    cells = []
    for _, summary in runs:
        values = [
            (row.get("validation_bits_per_byte"), name) for name, row in summary["domains"].items()
        ]
        known = [(value, name) for value, name in values if value is not None]
        if not known:
            text = "-"
        elif mean:
            text = f"{sum(value for value, _ in known) / len(known):.4f}"
        else:
            value, name = max(known)
            text = f"{name} {value:.4f}"
        cells += [""] * (len(_COLUMNS) - 1) + [text]
    return cells


def _align(lines: list[list[str]], num_runs: int) -> list[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    group = len(_COLUMNS)
    spans = [
        sum(widths[1 + run * group : 1 + (run + 1) * group]) + 2 * (group - 1)
        for run in range(num_runs)
    ]
    heads = [_letter(run).center(span, "-") for run, span in enumerate(spans)]
    head = "  ".join([" " * widths[0], *(f" {text}" for text in heads)])
    rendered = [head]
    for line in lines:
        cells = [line[0].ljust(widths[0])]
        for column in range(1, len(line)):
            separator = " " if (column - 1) % group == 0 else ""
            cells.append(separator + line[column].rjust(widths[column]))
        rendered.append("  ".join(cells).rstrip())
    return rendered


def _letter(run: int) -> str:
    return chr(ord("A") + run) if run < 26 else f"run{run}"
