"""Numbers recorded from the authors' own code, where they are at hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policies import Feedback, Task
from policies.signals import Array
from policies.synthetic import make_task

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "golden"


def golden(*patterns: str, single: bool = False) -> pytest.MarkDecorator:
    """Parametrises a test over recordings, as ``recording``: one parsed file each.

    Args:
        patterns: Names without number of domains and ending, such as ``aioli__aioli_ema_*``.
        single: Whether to take the recordings in single precision instead.
    """
    ending = "__f32" if single else ""
    files = sorted(
        {
            file
            for pattern in patterns
            for file in FOLDER.glob(f"{pattern}__k*{ending}.json")
            if single == file.stem.endswith("__f32")
        }
    )
    if not files:
        reason = f"no recordings {', '.join(patterns)} in {FOLDER}"
        return pytest.mark.parametrize(
            "recording", [pytest.param({}, marks=pytest.mark.skip(reason))]
        )
    return pytest.mark.parametrize(
        "recording", [pytest.param(json.loads(file.read_text()), id=file.stem) for file in files]
    )


def numbers(values: Any) -> Array:
    """A recorded list as an array; absent numbers and the strings "nan", "inf" become floats."""
    return np.array(values, dtype=np.float64)


def uniform_task(num_domains: int, **changes: Any) -> Task:
    """A task whose prior is uniform, which is where the published rules start."""
    task = make_task(num_domains, total_steps=100_000)
    return replace(task, prior=np.full(num_domains, 1 / num_domains), **changes)


def training_feedback(
    task: Task,
    step: int,
    weights: Array,
    domain: Sequence[int],
    loss: Sequence[float],
    **changes: Any,
) -> Feedback:
    """A step whose sequences, of one token and one byte each, had these losses in nats."""
    domains = np.array(domain, dtype=np.int64)
    ones = np.ones(len(domains))
    given = {
        "step": step,
        "weights": weights,
        "counts": np.bincount(domains, minlength=task.num_domains),
        "epochs": np.zeros(task.num_domains),
        "sequence_domain": domains,
        "sequence_loss": np.array(loss, dtype=np.float64),
        "sequence_tokens": ones,
        "sequence_bytes": ones,
        "learning_rate": 1e-3,
    }
    return Feedback(**(given | changes))
