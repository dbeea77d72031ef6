"""A run's record as one HTML page that needs nothing else."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jinja2

from trainer.report.charts import charts
from trainer.report.heat_chart import heat_chart
from trainer.report.run_record import RunRecord

_TEMPLATE = "page.html"
_LOSS = "validation_bits_per_byte"
_COLUMNS = {
    "tokens": ("tokens", "{:,.0f}"),
    "epochs": ("epochs", "{:.2f}"),
    "mean_weight": ("mean weight", "{:.4f}"),
    "weight": ("last weight", "{:.4f}"),
    "train_bits_per_byte": ("training bits/byte", "{:.4f}"),
    _LOSS: ("validation bits/byte", "{:.4f}"),
    "validation_standard_error": ("standard error", "{:.4f}"),
    "test_bits_per_byte": ("test bits/byte", "{:.4f}"),
    "dropped_sequences": ("losses dropped", "{:,.0f}"),
}


class Tile(NamedTuple):
    """A number of the outcome: what it is, its text, a remark."""

    title: str
    number: str
    remark: str


class Cell(NamedTuple):
    """A number in a table: what it is sorted by, and its text."""

    value: float | str
    text: str


def page(run: RunRecord) -> str:
    """The page's HTML."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    names = list(run.domains)
    used = [key for key in _COLUMNS if any(row.get(key) for row in run.domains.values())]
    return environment.get_template(_TEMPLATE).render(
        run=run,
        span=_span(run),
        tiles=_tiles(run),
        charts=charts(run),
        heat_charts={
            name: heat_chart(name, matrix, names) for name, matrix in run.matrices.items()
        },
        columns=["language", *(_COLUMNS[key][0] for key in used)],
        rows=_rows(run, used),
        constraints=[_constraint(entry, run.step) for entry in run.constraints],
        signals=[
            [Cell(name, name), *_signal(row, run.total_cost)] for name, row in run.signals.items()
        ],
    )


def _tiles(run: RunRecord) -> list[Tile]:
    """The outcome in numbers."""
    losses = {name: row.get(_LOSS) for name, row in run.domains.items()}
    known = {name: loss for name, loss in losses.items() if loss is not None}
    if known:
        worst = max(known, key=known.__getitem__)
        mean = f"{sum(known.values()) / len(known):.4f}"
        remark = f"validation, {_counted(len(known), 'language')}"
        tiles = [
            Tile("mean bits per byte", mean, remark),
            Tile("worst bits per byte", f"{known[worst]:.4f}", worst),
        ]
    else:
        tiles = [Tile("bits per byte", "-", "no validation yet")]
    tiles.append(Tile("tokens trained on", _amount(run.tokens), ""))
    if run.total_cost is not None:
        more = run.total_cost / run.tokens - 1 if run.tokens else 0.0
        remark = f"{more:.1%} above training, for signals" if more > 0 else "signals cost nothing"
        tiles.append(Tile("total cost in tokens", _amount(run.total_cost), remark))
    steps = f"{run.step:,}" if run.max_steps is None else f"{run.step:,} of {run.max_steps:,}"
    state = "finished" if run.finished else "not finished"
    if run.skipped_steps:
        state += f", {_counted(run.skipped_steps, 'step')} skipped"
    return [*tiles, Tile("optimiser steps", steps, state)]


def _rows(run: RunRecord, keys: list[str]) -> list[list[Cell]]:
    """The table of languages, worst first."""
    ranked = sorted(run.domains.items(), key=lambda item: -(item[1].get(_LOSS) or 0.0))
    return [
        [Cell(name, name), *(_cell(row.get(key), _COLUMNS[key][1]) for key in keys)]
        for name, row in ranked
    ]


def _cell(value: float | None, form: str) -> Cell:
    return Cell("", "-") if value is None else Cell(value, form.format(value))


def _constraint(entry: Mapping[str, Any], steps: int) -> list[Cell]:
    prices = entry["mean_price"]
    text = ", ".join(f"{price:.3g} {unit}" for unit, price in prices.items()) or "-"
    return [
        Cell(entry["constraint"], entry["constraint"]),
        Cell(entry["binding_steps"], f"{entry['binding_steps']:,} of {steps:,}"),
        Cell(max(prices.values(), default=0.0), text),
        _cell(entry["relaxed_steps"], "{:,}"),
    ]


def _signal(row: Mapping[str, float | None], total_cost: float | None) -> list[Cell]:
    tokens = row["tokens"] or 0.0
    return [
        _cell(row["measurements"], "{:,.0f}"),
        _cell(tokens, "{:,.0f}"),
        _cell(tokens / total_cost if total_cost else None, "{:.1%}"),
        _cell(row["milliseconds"], "{:,.1f}"),
    ]


def _amount(number: float) -> str:
    for size, word in ((1e12, "trillion"), (1e9, "billion"), (1e7, "million")):
        if number >= size:
            unit = min(size, 1e6) if word == "million" else size
            return f"{number / unit:.4g} {word}"
    return f"{number:,.0f}"


def _counted(number: int, what: str) -> str:
    return f"{number:,} {what}" + ("" if number == 1 else "s")


def _span(run: RunRecord) -> str:
    if run.span is None:
        return ""
    began, ended = (datetime.datetime.fromtimestamp(time, datetime.UTC) for time in run.span)
    return f"{began:%Y-%m-%d %H:%M} to {ended:%Y-%m-%d %H:%M} UTC"
