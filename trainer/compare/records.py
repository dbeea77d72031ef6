"""A comparison as tables for other programs: a line per run, and a line per policy."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from trainer.compare.outcome import Outcome
from trainer.compare.standings import Standing, mean_on_test, worst_on_test
from trainer.compare.statistics import Paired

Record = Mapping[str, str | float | None]


def write_records(path: Path, records: Sequence[Record]) -> None:
    """Write a table with a column for every key that any record has; NaN and None stay empty."""
    columns = list(dict.fromkeys(key for record in records for key in record))
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows([_cell(record.get(column)) for column in columns] for record in records)


def _cell(value: str | float | None) -> str | float:
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    return value


def run_record(run: Outcome) -> Record:
    """A run as a record.

    With the mean weight and the final loss of every domain in the columns ``weight:NAME`` and
    ``loss:NAME``, the table of all runs is one that `policies.results` reads: Olmix and RegMix fit
    their mixtures to it.
    """
    record: dict[str, str | float | None] = {
        "policy": run.policy,
        "seed": run.seed,
        "steps": run.steps,
        "tokens": float(run.tokens.sum()),
        "total_cost_tokens": run.total_cost,
        "seconds_per_step": run.seconds_per_step,
        "mean": run.mean,
        "worst": run.worst,
        "worst_domain": run.worst_name,
    }
    columns = {
        "weight": run.mean_weights,
        "epochs": run.epochs,
        "loss": run.bits_per_byte,
        "test": run.test_bits_per_byte,
    }
    for title, values in columns.items():
        if values is not None:
            named = zip(run.names, values.tolist(), strict=True)
            record |= {f"{title}:{name}": value for name, value in named}
    return record


def standing_record(standing: Standing, budget: float) -> Record:
    """A policy as a record; differences are to the baseline, with half their 95 % intervals."""
    record: dict[str, str | float | None] = {
        "policy": standing.name,
        "seeds": len(standing.runs),
        "failed": len(standing.failed),
        "steps": standing.average(lambda run: run.steps),
        "total_cost_tokens": standing.average(lambda run: run.total_cost),
        "over_budget": standing.over_budget(budget),
        "mean": standing.average(lambda run: run.mean),
        **_pair("mean", standing.mean_difference),
        "wins": standing.mean_difference.wins,
        "worst": standing.average(lambda run: run.worst),
        "worst_domain": standing.worst_name,
        **_pair("worst", standing.worst_difference),
        "cost_to_reach_tokens": standing.cost_to_reach,
        "reached": standing.reached,
        "time_ratio": standing.time_ratio,
    }
    if standing.test_mean_difference is not None and standing.test_worst_difference is not None:
        record |= {
            "test_mean": standing.average(mean_on_test),
            **_pair("test_mean", standing.test_mean_difference),
            "test_worst": standing.average(worst_on_test),
            **_pair("test_worst", standing.test_worst_difference),
        }
    if standing.runs:
        losses = standing.domain_losses.tolist()
        pairs = standing.domain_differences
        for name, loss, pair in zip(standing.runs[0].names, losses, pairs, strict=True):
            record |= {f"loss:{name}": loss, **_pair(f"loss:{name}", pair)}
    return record


def _pair(title: str, pair: Paired) -> Record:
    return {f"{title}_difference": pair.difference, f"{title}_half_interval": pair.half}
