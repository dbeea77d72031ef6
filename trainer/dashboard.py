"""TensorBoard: scalars per domain, grouped so that one chart shows all domains."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, cast

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.loggers import TensorBoardLogger

from policies import Array
from trainer.chart_layout import layout
from trainer.evaluating import EvaluationCallback
from trainer.guarding import FiniteStepsCallback
from trainer.held_out import HeldOut
from trainer.mixing import MixingCallback
from trainer.module import LanguageModel


class DashboardCallback(Callback):
    """Writes what each domain does to the run's loggers every ``log_every_n_steps`` steps."""

    def __init__(
        self,
        mixing: MixingCallback,
        evaluation: EvaluationCallback,
        guard: FiniteStepsCallback,
    ) -> None:
        self._mixing, self._evaluation, self._guard = mixing, evaluation, guard

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        for logger in trainer.loggers:
            if isinstance(logger, TensorBoardLogger) and trainer.is_global_zero:
                charts = layout(
                    signals=bool(self._mixing.panel.costs),
                    constraints=self._mixing.account is not None,
                )
                logger.experiment.add_custom_scalars(charts)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        step = trainer.global_step
        every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
        ends_step = (batch_idx + 1) % trainer.accumulate_grad_batches == 0
        if ends_step and step % every == 0 and trainer.is_global_zero:
            metrics = self._training(trainer)
            fraction = cast(LanguageModel, pl_module).effective_fraction
            if fraction is not None:
                metrics["train/effective_fraction"] = float(fraction)
            _log(trainer, metrics, step)

    def on_validation_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        result = self._evaluation.validation
        fitting = trainer.state.fn == "fit" and not trainer.sanity_checking
        if result is not None and fitting and trainer.is_global_zero:
            _log(trainer, self._held_out(result), result.step)

    def _training(self, trainer: Trainer) -> dict[str, float]:
        mixing, totals = self._mixing, self._mixing.totals
        weights, epochs, tokens = mixing.mixture_now()
        window = totals.take_window()
        metrics = {
            "train/dropped_sequences": float(totals.dropped.sum()),
            "train/skipped_steps": float(self._guard.skipped),
            "mixture/entropy": float(-(weights * np.log(np.maximum(weights, 1e-300))).sum()),
            "policy/invalid_decisions": float(mixing.invalid_decisions),
            "optimizer/learning_rate": trainer.optimizers[0].param_groups[0]["lr"],
        }
        if np.isfinite(window).any():
            metrics["train/bits_per_byte_mean"] = float(np.nanmean(window))
            metrics["train/bits_per_byte_worst"] = float(np.nanmax(window))
        trained = float(tokens.sum())
        metrics |= {
            "tokens/trained": trained,
            "tokens/total_cost": trained + mixing.panel.tokens,
            **mixing.panel.metrics(),
        }
        metrics |= self._each("train/bits_per_byte", window)
        if totals.dropped.any():
            metrics |= self._each("train/dropped_sequences", totals.dropped)
        metrics |= self._each("mixture/weight", weights)
        metrics |= self._each("mixture/epochs", epochs)
        metrics |= self._each("mixture/tokens", tokens)
        if mixing.account is not None:
            metrics |= mixing.account.metrics()
            metrics |= self._each("constraints/proposed", mixing.account.proposal)
        for name, value in mixing.policy.diagnostics(mixing.policy_state).items():
            if np.ndim(value) == 1:
                metrics |= self._each(f"policy/{name}", np.asarray(value))
            elif np.ndim(value) == 0:
                metrics[f"policy/{name}"] = float(value)
        return metrics

    def _held_out(self, result: HeldOut) -> dict[str, float]:
        return self._each("validation/bits_per_byte", result.bits_per_byte) | self._each(
            "validation/loss", result.loss
        )

    def _each(self, tag: str, values: Array) -> dict[str, float]:
        pairs: Iterable[tuple[str, float]] = zip(self._mixing.names, values.tolist(), strict=True)
        return {f"{tag}/{name}": value for name, value in pairs if math.isfinite(value)}


def _log(trainer: Trainer, metrics: dict[str, float], step: int) -> None:
    # Through the loggers, not through `self.log`, which costs a quarter millisecond per key.
    for logger in trainer.loggers:
        logger.log_metrics(metrics, step)
