"""The mixture that a run learned, read from its folder: one for all steps, or one per stretch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies import Array
from policies.simplex import check_weights
from trainer.event_files import read_scalars

_KEYS = {"mean": "mean_weight", "last": "weight"}
WHICH = (*_KEYS, "schedule")
_TAG = "mixture/weight"
_UNITS = 10**12


class Stages(NamedTuple):
    """Mixtures by the step from which they hold.

    Attributes:
        steps: Optimiser steps, shape (m,), rising from 0.
        weights: A mixture of each, shape (m, k).
    """

    steps: NDArray[np.int64]
    weights: Array


def read_mixture(run_dir: Path, summary: dict[str, Any], which: str) -> Stages:
    """The mean or last mixture of a run as one stage, or the logged ones as many.

    Args:
        run_dir: The run's folder.
        summary: Its ``summary.json``; domains keep their order.
        which: One of `WHICH`.

    Raises:
        ValueError: The run's weights are unusable, or it logged none.
    """
    names = list(summary["domains"])
    if which == "schedule":
        return logged_stages(run_dir, names, summary["max_steps"])
    key = _KEYS[which]
    weights = [np.nan if row.get(key) is None else row[key] for row in summary["domains"].values()]
    checked = check_weights(weights, names, f"{key} in the summary of {run_dir}")
    return Stages(np.zeros(1, dtype=np.int64), checked[None])


def logged_stages(run_dir: Path, names: Sequence[str], total_steps: int) -> Stages:
    """The mixtures in TensorBoard's files, equal neighbours as one.

    A mixture is logged at the end of a step and is that of the next. Nothing is logged before the
    first step, so the first mixture there is also stands for the steps before it.

    Args:
        run_dir: The run's folder.
        names: The k domains.
        total_steps: Steps of the run; what was logged after its last step is the mixture of none.

    Raises:
        ValueError: No step has a logged mixture.
    """
    scalars = read_scalars(run_dir)
    series = [
        {entry.step: entry.value for entry in scalars.get(f"{_TAG}/{name}", ())} for name in names
    ]
    common = set.intersection(*map(set, series))
    steps = sorted(step for step in common if step < total_steps)
    if not steps:
        raise ValueError(
            f"{run_dir} has no logged mixtures; ask for --mixture mean or last, or train with a "
            "smaller trainer.log_every_n_steps"
        )
    weights = np.array([[one[step] for one in series] for step in steps], dtype=np.float64)
    # Logged numbers have single precision.
    weights /= weights.sum(axis=1, keepdims=True)
    starts = np.array([0, *steps[1:]], dtype=np.int64)
    changed = np.r_[True, (weights[1:] != weights[:-1]).any(axis=1)]
    return Stages(starts[changed], weights[changed])


def averaged(stages: Stages, total_steps: int, count: int) -> Stages:
    """As many mixtures as asked for, each the mean over an equal stretch of the run.

    Args:
        stages: Mixtures by step.
        total_steps: Steps of the run.
        count: Stretches, from 1 to ``total_steps``.
    """
    if not 1 <= count <= total_steps:
        raise ValueError(
            f"stages must be from 1 to the {total_steps} steps of the run, got {count}"
        )
    bounds = np.linspace(0, total_steps, count + 1).round().astype(np.int64)
    lengths = np.diff(stages.steps, append=total_steps)
    # The sum of the mixtures of all steps before each stage, and so before each bound.
    sums = (stages.weights * lengths[:, None]).cumsum(axis=0)
    before = np.vstack([np.zeros_like(sums[:1]), sums[:-1]])
    stage = stages.steps.searchsorted(bounds, side="right") - 1
    into = (bounds - stages.steps[stage])[:, None]
    totals = before[stage] + into * stages.weights[stage]
    means = np.diff(totals, axis=0) / np.diff(bounds)[:, None]
    return Stages(bounds[:-1], means)


def summing_to_one(weights: Array) -> Array:
    """The nearest mixtures that sum to one exactly as they are written, in 12 decimals.

    Rounded down, and then up where most is missing; what is smaller than a unit may become zero.

    Args:
        weights: Mixtures, shape (m, k).
    """
    scaled = weights * _UNITS
    units = np.floor(scaled)
    missing = _UNITS - units.sum(axis=1, keepdims=True)
    rank = (units - scaled).argsort(axis=1, kind="stable").argsort(axis=1, kind="stable")
    rounded: Array = (units + (rank < missing)) / _UNITS
    return rounded
