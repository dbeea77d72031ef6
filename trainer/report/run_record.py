"""All that a run's folder tells about it, in one place."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]

from trainer.event_files import PATTERN, Scalar, read_scalars
from trainer.report.curves import Curves, curves
from trainer.summary import FILE_NAME, load_summary

CONFIGURATION = "config.yaml"
GROUPS = (
    "mixture/weight",
    "mixture/epochs",
    "mixture/tokens",
    "validation/bits_per_byte",
    "train/bits_per_byte",
    "constraints/price",
    "constraints/loosened",
    "constraints/proposed",
    "signals/tokens",
    "signals/milliseconds",
    "tokens",
)
# Where a run without a summary, or one that went on after its last summary, has a domain's numbers.
_COLUMNS = {
    "tokens": "mixture/tokens",
    "epochs": "mixture/epochs",
    "weight": "mixture/weight",
    "train_bits_per_byte": "train/bits_per_byte",
    "validation_bits_per_byte": "validation/bits_per_byte",
}
Row = Mapping[str, float | None]


@dataclass(frozen=True, kw_only=True)
class RunRecord:
    """What is known of a run, finished or not.

    Attributes:
        name: What to call it.
        policy: The class of its policy; empty if not known.
        step: Optimiser steps done, as far as was written.
        max_steps: Steps it is to have; None if not known.
        finished: Whether it had them all.
        tokens: Trained on, of all domains together.
        total_cost: Tokens trained on and what signals cost, in tokens; None if not known.
        skipped_steps: Steps left out because their gradients were not finite.
        domains: Numbers of each domain, in the run's order, named as in ``summary.json``; test
            losses as ``test_bits_per_byte``.
        curves: Over time, by group of tags.
        constraints: One record per constraint, as in ``summary.json``.
        signals: What each signal cost: ``tokens``, ``milliseconds`` each, and ``measurements``.
        matrices: Between domains, by name; rows are domains evaluated, columns those trained on.
        configuration: The text of ``config.yaml``.
        environment: Versions and machine, by name.
        span: When it wrote first and last, in seconds since 1970.
    """

    name: str
    policy: str
    step: int
    max_steps: int | None
    finished: bool
    tokens: float
    total_cost: float | None
    skipped_steps: int = 0
    domains: Mapping[str, Row] = field(default_factory=dict)
    curves: Mapping[str, Curves] = field(default_factory=dict)
    constraints: Sequence[Mapping[str, Any]] = ()
    signals: Mapping[str, Row] = field(default_factory=dict)
    matrices: Mapping[str, Sequence[Sequence[float | None]]] = field(default_factory=dict)
    configuration: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    span: tuple[float, float] | None = None


def read_run(folder: Path) -> RunRecord:
    """Read what a run has written so far.

    Raises:
        ValueError: The folder holds no run.
    """
    if not folder.is_dir():
        raise ValueError(f"run_dir must be the folder of a run, got {folder}, which is none")
    summarised = (folder / FILE_NAME).is_file()
    if not summarised and not any(folder.glob(PATTERN)):
        raise ValueError(
            f"run_dir must be the folder of a run, got {folder}, which holds neither {FILE_NAME} "
            "nor a TensorBoard file"
        )
    summary = load_summary(folder) if summarised else {}
    scalars = read_scalars(folder)
    drawn = {group: curves(scalars, group) for group in GROUPS}
    written = max((int(found.steps[-1]) for found in drawn.values() if len(found.steps)), default=0)
    step = max(written, summary.get("step", 0))
    went_on = written > summary.get("step", 0)
    configuration, settings = _configuration(folder)
    domains = _domains(summary.get("domains", {}), drawn, went_on=went_on)
    tested = _test_losses(folder)
    totals = drawn["tokens"].last()
    cost = max(summary.get("total_cost_tokens", 0.0), totals.get("total_cost", 0.0))
    return RunRecord(
        name=folder.resolve().name,
        policy=summary.get("policy") or _policy(settings),
        step=step,
        max_steps=summary.get("max_steps") or (settings.get("trainer") or {}).get("max_steps"),
        finished=summary.get("finished", False),
        tokens=sum(row.get("tokens") or 0.0 for row in domains.values()),
        total_cost=cost or None,
        skipped_steps=summary.get("skipped_steps", 0),
        domains={name: {**row, **tested.get(name, {})} for name, row in domains.items()},
        curves=drawn,
        constraints=summary.get("constraints", ()),
        signals=_signals(summary.get("signals", {}), drawn),
        matrices=summary.get("matrices", {}),
        configuration=configuration,
        environment=summary.get("environment", {}),
        span=_span(scalars),
    )


def _domains(
    summarised: Mapping[str, Row], drawn: Mapping[str, Curves], *, went_on: bool
) -> dict[str, Row]:
    written: dict[str, dict[str, float | None]] = {}
    for column, group in _COLUMNS.items():
        for name, value in drawn[group].last().items():
            written.setdefault(name, {})[column] = value
    weights = drawn["mixture/weight"].complete()
    if len(weights.steps):
        for name, value in zip(weights.names, weights.values.mean(axis=0), strict=True):
            written[name]["mean_weight"] = float(value)
    names = summarised or written
    if went_on:
        return {name: {**summarised.get(name, {}), **written.get(name, {})} for name in names}
    return {name: {**written.get(name, {}), **summarised.get(name, {})} for name in names}


def _span(scalars: Mapping[str, Sequence[Scalar]]) -> tuple[float, float] | None:
    if not scalars:
        return None
    return (
        min(found[0].time for found in scalars.values()),
        max(found[-1].time for found in scalars.values()),
    )


def _test_losses(folder: Path) -> dict[str, dict[str, float | None]]:
    """What ``glotmix test`` found, if it has been asked."""
    path = folder / "test.json"
    if not path.is_file():
        return {}
    rows = json.loads(path.read_text(encoding="utf-8"))["domains"]
    return {name: {"test_bits_per_byte": row["bits_per_byte"]} for name, row in rows.items()}


def _signals(
    summarised: Mapping[str, Row], drawn: Mapping[str, Curves]
) -> dict[str, dict[str, float | None]]:
    tokens, each = (drawn[f"signals/{unit}"].last() for unit in ("tokens", "milliseconds"))
    found = {
        name: {"tokens": value, "milliseconds": each.get(name), "measurements": None}
        for name, value in tokens.items()
    }
    for name, row in summarised.items():
        number, seconds = row["measurements"], row["seconds"]
        found[name] = {
            "tokens": row["tokens"],
            "milliseconds": 1e3 * (seconds or 0.0) / max(1.0, number or 0.0),
            "measurements": number,
        }
    return found


def _configuration(folder: Path) -> tuple[str, Mapping[str, Any]]:
    """The configuration as text and, as far as it can be read, as data."""
    path = folder / CONFIGURATION
    if not path.is_file():
        return "", {}
    text = path.read_text(encoding="utf-8")
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError:  # A disk that was full: the page shows what there is.
        settings = None
    return text, settings if isinstance(settings, dict) else {}


def _policy(settings: Mapping[str, Any]) -> str:
    policy = settings.get("policy") or {}
    path: str = policy.get("class_path", "") if isinstance(policy, dict) else str(policy)
    return path.rsplit(".", 1)[-1]
