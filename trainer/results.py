"""What ``glotmix validate`` and ``glotmix test`` print and keep."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer

from trainer.evaluating import EvaluationCallback
from trainer.held_out import HeldOut
from trainer.summary import by_domain, write_json


class ResultsCallback(Callback):
    """Prints held-out losses per domain and writes them to ``SPLIT.json`` in the run's folder.

    Args:
        folder: The run's folder.
        evaluation: Knows the held-out losses.
    """

    def __init__(self, folder: Path, evaluation: EvaluationCallback) -> None:
        self._folder, self._evaluation = folder, evaluation

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if trainer.state.fn == "validate":
            self._report(trainer, "validation", self._evaluation.validation)

    def on_test_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._report(trainer, "test", self._evaluation.test)

    def _report(self, trainer: Trainer, split: str, result: HeldOut | None) -> None:
        if result is None or not trainer.is_global_zero:
            return
        names = self._evaluation.names
        columns = {
            "bits_per_byte": result.bits_per_byte,
            "standard_error": result.standard_error,
            "loss": result.loss,
            "sequences": result.sequences,
        }
        document = {"split": split, "step": result.step, "domains": by_domain(names, columns)}
        write_json(self._folder / f"{split}.json", document)
        width = max(map(len, names))
        print(f"{split} split, bits per byte (standard error), sequences")
        for name, value, error, count in zip(
            names,
            result.bits_per_byte,
            result.standard_error,
            result.sequences,
            strict=True,
        ):
            print(f"  {name.ljust(width)}  {value:.4f} ({error:.4f})  {count:.0f}")
        worst = result.worst
        print(f"  mean {result.mean:.4f}, worst {names[worst]} {result.bits_per_byte[worst]:.4f}")
