"""What a finished run came to, read from its folder."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from policies import Array
from trainer.compare.stopwatch import seconds_per_step
from trainer.event_files import read_scalars
from trainer.summary import load_summary

_VALIDATION = "validation_bits_per_byte"


class Curve(NamedTuple):
    """The mean validation loss over the run, shapes (m,).

    Attributes:
        cost: Total cost until each validation, tokens.
        loss: Bits per byte, every domain counted alike.
    """

    cost: Array
    loss: Array


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """A finished run over k domains; arrays have shape (k,), a loss that was not finite is NaN.

    Attributes:
        policy: Name of the policy.
        seed: The run's seed.
        names: The domains.
        steps: Optimiser steps.
        tokens: Trained on, of each domain.
        epochs: Of each domain.
        mean_weights: Over all steps.
        total_cost: Tokens of training with what signals cost.
        bits_per_byte: On the validation split after the last step.
        test_bits_per_byte: On the test split; None if it was not touched.
        seconds_per_step: With signals and policy, without validation; None if not measured.
        curve: Of the validation loss; empty if the run kept no event files.
    """

    policy: str
    seed: int
    names: tuple[str, ...]
    steps: int
    tokens: Array
    epochs: Array
    mean_weights: Array
    total_cost: float
    bits_per_byte: Array
    test_bits_per_byte: Array | None
    seconds_per_step: float | None
    curve: Curve

    @property
    def mean(self) -> float:
        """Bits per byte, every domain counted alike; NaN if one is not finite."""
        return float(self.bits_per_byte.mean())

    @property
    def worst(self) -> float:
        """The most bits per byte of a domain; NaN if one is not finite."""
        return float(self.bits_per_byte.max())

    @property
    def worst_name(self) -> str:
        """The domain that has them."""
        return self.names[int(self.bits_per_byte.argmax())]


def read_outcome(policy: str, seed: int, folder: Path) -> Outcome:
    """The outcome of a finished run.

    Raises:
        ValueError: The folder holds no run.
    """
    summary = load_summary(folder)
    domains: dict[str, dict[str, Any]] = summary["domains"]
    names = tuple(domains)
    tested = folder / "test.json"
    test = json.loads(tested.read_text(encoding="utf-8"))["domains"] if tested.is_file() else None
    total_cost, final = float(summary["total_cost_tokens"]), _column(domains, _VALIDATION)
    return Outcome(
        policy=policy,
        seed=seed,
        names=names,
        steps=summary["step"],
        tokens=_column(domains, "tokens"),
        epochs=_column(domains, "epochs"),
        mean_weights=_column(domains, "mean_weight"),
        total_cost=total_cost,
        bits_per_byte=final,
        test_bits_per_byte=None if test is None else _column(test, "bits_per_byte"),
        seconds_per_step=seconds_per_step(folder),
        curve=_curve(folder, names, summary["step"], total_cost, float(final.mean())),
    )


def _column(domains: dict[str, dict[str, Any]], key: str) -> Array:
    values = [row.get(key) for row in domains.values()]
    return np.array([math.nan if value is None else value for value in values], dtype=np.float64)


def _curve(
    folder: Path, names: tuple[str, ...], steps: int, total_cost: float, final: float
) -> Curve:
    """The validation curve from the event files; what it had cost is linear between charted steps.

    Event files have few digits; for the end of the run the summary's are taken. A validation in
    which some domain's loss was not finite is left out.
    """
    scalars = read_scalars(folder)
    tags = [f"validation/bits_per_byte/{name}" for name in names]
    if not set(scalars).issuperset(tags):
        return Curve(np.zeros(0), np.zeros(0))
    lines = [{entry.step: entry.value for entry in scalars[tag]} for tag in tags]
    validated = sorted(set.intersection(*map(set, lines)))
    charted = {0: 0.0}
    charted |= {entry.step: entry.value for entry in scalars.get("tokens/total_cost", ())}
    charted[steps] = total_cost
    known = sorted(charted)
    losses = {step: float(np.mean([line[step] for line in lines])) for step in validated}
    if steps in losses:
        losses[steps] = final
    return Curve(
        cost=np.interp(validated, known, [charted[step] for step in known]),
        loss=np.array([losses[step] for step in validated]),
    )
