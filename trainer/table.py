"""Runs side by side as a plain-text table, one row per domain."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.standing import standing

_COLUMNS = {
    "tokens": ("tokens", "{:,.0f}"),
    "epochs": ("epochs", "{:.2f}"),
    "weight": ("mean_weight", "{:.3f}"),
    "bits/byte": ("validation_bits_per_byte", "{:.4f}"),
}
# There is room for more where a run stands alone; what is not known before the first validation is
# known of training.
_ALONE = {
    "tokens": _COLUMNS["tokens"],
    "epochs": _COLUMNS["epochs"],
    "mean weight": _COLUMNS["weight"],
    "weight now": ("weight", "{:.3f}"),
    "train bits/byte": ("train_bits_per_byte", "{:.4f}"),
    "bits/byte": _COLUMNS["bits/byte"],
}
_CLEAR = "\x1b[H\x1b[J"


def show(runs: list[Path], watch: float | None = None) -> None:
    """Print how runs stand: tokens, epochs, weights and bits per byte per domain.

    Args:
        runs: Folders of runs, finished or under way, over the same domains.
        watch: Seconds after which to print again, until all runs are through; None for once.
    """
    while True:
        found = [(str(run), standing(run)) for run in runs]
        print(_CLEAR if watch else "", render(found), sep="", flush=True)
        if not watch or all(summary["finished"] for _, summary in found):
            return
        time.sleep(watch)


def render(runs: Sequence[tuple[str, dict[str, Any]]]) -> str:
    """The table of several runs' summaries, largest domain first.

    Raises:
        ValueError: There are no runs, or they have different domains.
    """
    if not runs:
        raise ValueError("name at least one run folder")
    summaries = [summary for _, summary in runs]
    first = summaries[0]["domains"]
    for name, summary in runs[1:]:
        if set(summary["domains"]) != set(first):
            raise ValueError(
                f"runs must have the same domains to stand side by side; {name} has "
                f"{', '.join(summary['domains'])}, {runs[0][0]} has {', '.join(first)}"
            )
    columns = _COLUMNS if len(runs) > 1 else _ALONE
    lines = [["", *([title for _ in runs for title in columns])]]
    lines += [[domain, *_cells(summaries, domain, columns)] for domain in first]
    lines.append(["mean", *_aggregate(summaries, columns, mean=True)])
    lines.append(["worst", *_aggregate(summaries, columns, mean=False)])
    legend = [
        f"{_letter(number)}: {name}  {summary['policy']}, step {summary['step']} of "
        f"{summary['max_steps']}{_state(summary)}"
        for number, (name, summary) in enumerate(runs)
    ]
    return "\n".join([*legend, "", *_align(lines, len(runs)), *_constraints(summaries)])


def _state(summary: dict[str, Any]) -> str:
    return "" if summary["finished"] else f" ({summary.get('state', 'unfinished')})"


def _constraints(summaries: Sequence[dict[str, Any]]) -> list[str]:
    """What the constraints of each run came to, one line each."""
    lines = []
    for number, summary in enumerate(summaries):
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


def _cells(
    summaries: Sequence[dict[str, Any]], domain: str, columns: Mapping[str, tuple[str, str]]
) -> list[str]:
    cells = []
    for summary in summaries:
        for key, form in columns.values():
            value = summary["domains"][domain].get(key)
            cells.append("-" if value is None else form.format(value))
    return cells


def _aggregate(
    summaries: Sequence[dict[str, Any]], columns: Mapping[str, tuple[str, str]], *, mean: bool
) -> list[str]:
    """Mean or worst loss under each column that has losses, nothing under the others."""
    cells = []
    for summary in summaries:
        for key, form in columns.values():
            values = [(row.get(key), name) for name, row in summary["domains"].items()]
            known = [(value, name) for value, name in values if value is not None]
            if not key.endswith("bits_per_byte"):
                cells.append("")
            elif not known:
                cells.append("-")
            elif mean:
                cells.append(form.format(sum(value for value, _ in known) / len(known)))
            else:
                value, name = max(known)
                cells.append(f"{name} {form.format(value)}")
    return cells


def _align(lines: list[list[str]], num_runs: int) -> list[str]:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    group = (len(lines[0]) - 1) // num_runs
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
