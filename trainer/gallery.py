"""TensorBoard's pictures, text cards and hyper-parameters: what single numbers do not show."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from copy import copy
from typing import Any, cast

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from policies import Policy
from trainer.data import CorpusDataModule
from trainer.evaluating import EvaluationCallback
from trainer.heat_map import heat_map
from trainer.loss_picture import loss_picture
from trainer.mixing import MixingCallback
from trainer.mixture_picture import mixture_picture

# Mixtures that are remembered for the picture; of more, every second one is forgotten.
_REMEMBERED = 512
_STATE = ("steps", "weights", "every", "validations", "losses")


class GalleryCallback(Callback):
    """At every validation: mixture and losses over time, matrices between languages, and tables.

    At the end of training the policy's settings go with the held-out losses, so that runs can be
    sorted by either.

    Args:
        mixing: Knows the mixture, the constraints and the policy.
        evaluation: Knows the held-out losses.
    """

    def __init__(self, mixing: MixingCallback, evaluation: EvaluationCallback) -> None:
        self._mixing, self._evaluation = mixing, evaluation
        self._steps: list[int] = []
        self._weights: list[list[float]] = []
        self._every = 1
        self._validations: list[int] = []
        self._losses: list[list[float]] = []

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        step = trainer.global_step
        # A step may have several micro-batches; until its last one the count is that of the last.
        if step == 0 or step % self._every or self._steps[-1:] == [step]:
            return
        data = cast(CorpusDataModule, trainer.datamodule)  # type: ignore[attr-defined]
        self._steps.append(step)
        self._weights.append(data.mixture.weights.tolist())
        if len(self._steps) > _REMEMBERED:
            self._every *= 2
            kept = [place for place, step in enumerate(self._steps) if step % self._every == 0]
            self._steps = [self._steps[place] for place in kept]
            self._weights = [self._weights[place] for place in kept]

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn != "fit" or trainer.sanity_checking:
            return
        result = self._evaluation.validation
        if result is not None:
            self._validations.append(trainer.global_step)
            self._losses.append(result.bits_per_byte.tolist())
        for logger in _loggers(trainer):
            self._hang(logger, trainer.global_step)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        result = self._evaluation.validation
        if result is None:
            return
        metrics = {
            "hp/bits_per_byte_mean": result.mean,
            "hp/bits_per_byte_worst": float(result.bits_per_byte[result.worst]),
        }
        for logger in _loggers(trainer):
            logger.log_hyperparams(settings_of(self._mixing.policy), metrics)

    def _hang(self, logger: TensorBoardLogger, step: int) -> None:
        mixing, show = self._mixing, logger.experiment
        if self._steps:
            area = mixture_picture(self._steps, np.array(self._weights), mixing.names)
            show.add_image("mixture/over_time", area, step, dataformats="HWC")
        if self._losses:
            lines = loss_picture(self._validations, np.array(self._losses), mixing.names)
            show.add_image("mixture/bits_per_byte", lines, step, dataformats="HWC")
        for name, value in mixing.policy.diagnostics(mixing.policy_state).items():
            if np.ndim(value) == 2:
                picture = heat_map(np.asarray(value), mixing.names)
                show.add_image(f"policy/{name}", picture, step, dataformats="HWC")
        show.add_text("mixture", self._mixture_card(), step)
        if mixing.account is not None:
            show.add_text("constraints", _constraints_card(mixing.account.documents()), step)

    def _mixture_card(self) -> str:
        """A Markdown table of all languages."""
        weights, epochs, tokens = self._mixing.mixture_now()
        result = self._evaluation.validation
        lines = [
            "| language | weight | epochs | tokens | bits per byte |",
            "|---|---:|---:|---:|---:|",
        ]
        for place, name in enumerate(self._mixing.names):
            bits = "" if result is None else f"{result.bits_per_byte[place]:.4f}"
            lines.append(
                f"| {name} | {weights[place]:.4f} | {epochs[place]:.2f} "
                f"| {tokens[place]:,.0f} | {bits} |"
            )
        return "\n".join(lines)

    def state_dict(self) -> dict[str, Any]:
        return {name: getattr(self, f"_{name}") for name in _STATE}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        for name in _STATE:
            setattr(self, f"_{name}", copy(state_dict[name]))


def settings_of(policy: Policy) -> dict[str, bool | int | float | str]:
    """A policy's name and settings, flat and plain, as TensorBoard wants them."""
    settings: dict[str, bool | int | float | str] = {"policy": type(policy).__name__}
    for field in dataclasses.fields(policy):
        value = getattr(policy, field.name)
        plain = isinstance(value, bool | int | float | str)
        settings[f"policy.{field.name}"] = value if plain else json.dumps(value, default=str)
    return settings


def _loggers(trainer: Trainer) -> Iterator[TensorBoardLogger]:
    for logger in trainer.loggers if trainer.is_global_zero else []:
        if isinstance(logger, TensorBoardLogger):
            yield logger


def _constraints_card(entries: list[dict[str, Any]]) -> str:
    lines = [
        "| constraint | binding, steps | price per share | loosened, steps |",
        "|---|---:|---|---:|",
    ]
    for entry in entries:
        prices = ", ".join(f"{price:.3g} {unit}" for unit, price in entry["mean_price"].items())
        lines.append(
            f"| {entry['constraint']} | {entry['binding_steps']} | {prices or '0'} "
            f"| {entry['relaxed_steps']} |"
        )
    return "\n".join(lines)
