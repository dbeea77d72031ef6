"""What a run came to: ``summary.json`` in its folder, and a table of one or several runs."""

from __future__ import annotations

import json
import math
import os
import platform
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer

from policies import Policy, State
from trainer.environment import environment
from trainer.evaluating import EvaluationCallback
from trainer.guarding import FiniteStepsCallback
from trainer.held_out import HeldOut
from trainer.mixing import MixingCallback

FILE_NAME = "summary.json"
# The same document and who writes it, while a run is under way.
LIVE_NAME = "live.json"
_LIVE_SECONDS = 5.0
# The numbers of more domains than this would make the file large; TensorBoard has them as pictures.
MOST_IN_MATRIX = 64
_FORMAT = "glotmix-run"


class SummaryCallback(Callback):
    """Writes ``summary.json`` at every validation and at the end of training.

    In between, ``live.json`` has the same every few seconds; a run that is through has none.

    Args:
        folder: The run's folder.
        mixing: Knows what was trained on.
        evaluation: Knows the held-out losses.
        guard: Knows the steps that were skipped.
    """

    def __init__(
        self,
        folder: Path,
        mixing: MixingCallback,
        evaluation: EvaluationCallback,
        guard: FiniteStepsCallback,
    ) -> None:
        self._folder, self._mixing = folder, mixing
        self._evaluation, self._guard = evaluation, guard

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._due = 0.0

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if time.monotonic() >= self._due:
            process = {"host": platform.node(), "pid": os.getpid()}
            self._write(LIVE_NAME, trainer, pl_module, process=process)
            self._due = time.monotonic() + _LIVE_SECONDS

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            self._write(FILE_NAME, trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        finished = trainer.global_step >= trainer.max_steps
        self._write(FILE_NAME, trainer, pl_module, finished=finished)
        if trainer.is_global_zero:
            (self._folder / LIVE_NAME).unlink(missing_ok=True)

    def _write(self, name: str, trainer: Trainer, pl_module: LightningModule, **more: Any) -> None:
        if trainer.is_global_zero:
            write_json(self._folder / name, self._document(trainer, pl_module) | more)

    def _document(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        mixing, totals = self._mixing, self._mixing.totals
        weights, epochs, tokens = mixing.mixture_now()
        columns = {
            "tokens": tokens,
            "epochs": epochs,
            "mean_weight": totals.mean_weights,
            "weight": weights,
            "train_bits_per_byte": totals.smooth,
            "dropped_sequences": totals.dropped,
        }
        if self._evaluation.validation is not None:
            columns |= _held_out_columns("validation", self._evaluation.validation)
        document = {
            "format": _FORMAT,
            "policy": type(mixing.policy).__qualname__,
            "step": trainer.global_step,
            "max_steps": trainer.max_steps,
            "finished": False,
            "skipped_steps": self._guard.skipped,
            "total_cost_tokens": float(tokens.sum()) + mixing.panel.tokens,
            "domains": by_domain(mixing.names, columns),
            "matrices": matrices(mixing.policy, mixing.policy_state),
            "environment": environment(pl_module.device, trainer.world_size),
        }
        if mixing.panel.costs:
            document["signals"] = mixing.panel.documents()
        if mixing.account is not None:
            document["constraints"] = mixing.account.documents()
            document["allocation"] = {
                "ways": dict(mixing.account.ways),
                "solver_failures": mixing.account.failures,
            }
        return document


def _held_out_columns(split: str, result: HeldOut) -> dict[str, Any]:
    return {
        f"{split}_bits_per_byte": result.bits_per_byte,
        f"{split}_standard_error": result.standard_error,
    }


def by_domain(names: Sequence[str], columns: dict[str, Any]) -> dict[str, dict[str, float | None]]:
    """Columns of numbers per domain as one record per domain; what is not finite becomes None."""
    rows = zip(*(column.tolist() for column in columns.values()), strict=True)
    return {
        name: {
            key: value if math.isfinite(value) else None
            for key, value in zip(columns, row, strict=True)
        }
        for name, row in zip(names, rows, strict=True)
    }


def matrices(policy: Policy, state: State) -> dict[str, list[list[float | None]]]:
    """What a policy holds between each two domains; rows are the domains evaluated."""
    found = {name: np.asarray(value) for name, value in policy.diagnostics(state).items()}
    return {
        name: [[entry if math.isfinite(entry) else None for entry in row] for row in value.tolist()]
        for name, value in found.items()
        if value.ndim == 2 and len(value) <= MOST_IN_MATRIX
    }


def write_json(path: Path, document: dict[str, Any]) -> None:
    """Write in one step: a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    partial.write_text(json.dumps(document, indent=1, ensure_ascii=False), encoding="utf-8")
    partial.replace(path)


def load_summary(folder: Path) -> dict[str, Any]:
    """Read a run's summary.

    Raises:
        ValueError: The folder holds no run, or none that got as far as a validation.
    """
    path = folder / FILE_NAME
    if not path.is_file():
        raise ValueError(
            f"{folder} holds no {FILE_NAME}; it is written at a run's first validation"
        )
    return read_document(path)


def read_document(path: Path) -> dict[str, Any]:
    """Read what a run wrote of itself.

    Raises:
        ValueError: The file is something else.
    """
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or document.get("format") != _FORMAT:
        raise ValueError(f"{path} is not the summary of a run")
    return document
