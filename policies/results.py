"""Finished runs: which mixture gave which losses, read from a file that the user wrote."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from policies.signals import Array

WEIGHT, LOSS = "weight:", "loss:"
# Published tables of mixtures are rounded to three digits.
SUM_TOLERANCE = 0.02


class Results(NamedTuple):
    """n finished runs over k domains, with m losses each.

    Attributes:
        mixtures: Shape (n, k), rows on the simplex, columns in the order asked for.
        losses: Shape (n, m), columns in the order of the metrics.
        metrics: Names of the losses, in alphabetical order.
    """

    mixtures: Array
    losses: Array
    metrics: tuple[str, ...]


def read_results(path: str | Path, names: Sequence[str]) -> Results:
    """Read finished runs from a table or a JSON file.

    A table (``.csv``) has a header and one line per run: a column ``weight:<domain>`` for every
    domain and a column ``loss:<metric>`` for every loss; other columns are ignored. A ``.json`` is
    a list with one ``{"weights": {domain: weight}, "losses": {metric: loss}}`` per run.

    Args:
        path: Of the file, which must end in ``.csv`` or ``.json``.
        names: The domains of the corpus, whose order the columns of the mixtures get.

    Raises:
        ValueError: The file is of another kind, is not as described, names other domains, or holds
            a mixture or a loss that cannot be.
    """
    file = Path(path)
    readers = {".csv": _read_csv, ".json": _read_json}
    if file.suffix not in readers:
        raise ValueError(f"results must be a file ending in .csv or .json, got {str(file)!r}")
    try:
        runs = readers[file.suffix](file)
    except (OSError, UnicodeDecodeError, csv.Error, json.JSONDecodeError) as error:
        raise ValueError(f"results must be a readable {file.suffix} file: {error}") from error
    if not runs:
        raise ValueError(f"results must hold at least one run, got none in {str(file)!r}")
    metrics = tuple(sorted(runs[0][1]))
    if not metrics:
        raise ValueError(
            f"results must hold at least one loss per run (column {LOSS}<metric>), "
            f"got none in {str(file)!r}"
        )
    mixtures, losses = np.empty((len(runs), len(names))), np.empty((len(runs), len(metrics)))
    for number, (weights, values) in enumerate(runs):
        mixtures[number] = _row(weights, names, f"weights of run {number + 1}")
        losses[number] = _row(values, metrics, f"losses of run {number + 1}")
        if (mixtures[number] < 0).any() or abs(mixtures[number].sum() - 1) > SUM_TOLERANCE:
            raise ValueError(
                f"weights of run {number + 1} must not be negative and must sum to one, "
                f"got a sum of {mixtures[number].sum():.6g}"
            )
    return Results(mixtures / mixtures.sum(axis=1, keepdims=True), losses, metrics)


def require_runs(results: Results, fewest: int) -> None:
    """Refuse results that are too few for a fit.

    Raises:
        ValueError: There are fewer than ``fewest``.
    """
    if len(results.mixtures) < fewest:
        raise ValueError(
            f"results must hold at least {fewest} runs for {results.mixtures.shape[1]} domains, "
            f"got {len(results.mixtures)}"
        )


def metric_weights(
    given: Mapping[str, float] | None, metrics: Sequence[str], names: Sequence[str], target: Array
) -> Array:
    """How much each loss counts, shape (m,), summing to one.

    Args:
        given: What the user said: by metric, those not named count nothing. Without it losses
            named after domains count as much as the domains do, and all others equally.
        metrics: Names of the losses.
        names: Names of the domains.
        target: How much each domain counts, shape (k,).

    Raises:
        ValueError: A metric is not in the results, or nothing counts.
    """
    if given is not None:
        for name in given:
            if name not in metrics:
                raise ValueError(f"metrics must be losses of the results, got {name!r}")
        weights = np.array([float(given.get(metric, 0.0)) for metric in metrics])
    elif set(metrics) <= set(names):
        by_name = dict(zip(names, target.tolist(), strict=True))
        weights = np.array([by_name[metric] for metric in metrics])
    else:
        weights = np.ones(len(metrics))
    total = float(weights.sum())
    if not ((weights >= 0).all() and 0 < total < np.inf):
        raise ValueError("metrics must have weights that are not negative, and one above zero")
    counted: Array = weights / total
    return counted


def _row(values: Mapping[str, Any], columns: Sequence[str], what: str) -> Array:
    if sorted(values) != sorted(columns):
        odd = sorted(set(values) ^ set(columns))
        raise ValueError(f"{what} must be of {len(columns)} names, one each, check {odd[:4]}")
    row = np.empty(len(columns))
    for place, name in enumerate(columns):
        try:
            row[place] = float(values[name])
        except (TypeError, ValueError):
            row[place] = np.nan
        if not np.isfinite(row[place]):
            raise ValueError(f"{what} must be finite numbers, got {values[name]!r} for {name!r}")
    return row


def _read_csv(path: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    return [
        (
            {name[len(WEIGHT) :]: row[name] for name in row if str(name).startswith(WEIGHT)},
            {name[len(LOSS) :]: row[name] for name in row if str(name).startswith(LOSS)},
        )
        for row in rows
    ]


def _read_json(path: Path) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    document = json.loads(path.read_text(encoding="utf-8"))
    runs = []
    for run in document if isinstance(document, list) else [document]:
        run = run if isinstance(run, dict) else {}
        weights, losses = run.get("weights"), run.get("losses")
        if not (isinstance(weights, dict) and isinstance(losses, dict)):
            raise ValueError(
                'results must be a list of {"weights": {...}, "losses": {...}}, '
                f"got {str(run)[:60]}"
            )
        runs.append((weights, losses))
    return runs
