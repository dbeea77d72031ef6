"""Small runs that ask one probe in every step."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from mixer.batch import Batch
from trainer.data import CorpusDataModule
from trainer.module import LanguageModel
from trainer.probes.probe import Probe

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


class Asking(Callback):
    """Shows each batch to a probe and keeps its answers, its costs and the batches."""

    def __init__(self, probe: Probe) -> None:
        self.probe = probe
        self.answers: list[Any] = []
        self.tokens: list[float] = []
        self.batches: list[Batch] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.probe.setup(trainer, pl_module, trainer.datamodule)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        before = _all_that_must_stay(pl_module)
        self.probe.see(batch)
        self.batches.append(batch)
        torch.testing.assert_close(_all_that_must_stay(pl_module), before, rtol=0, atol=0)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        if (batch_idx + 1) % trainer.accumulate_grad_batches == 0:
            self.answers.append(self.probe.answer())
            self.tokens.append(self.probe.tokens)
            self.probe.tokens = 0.0


def _all_that_must_stay(module: LightningModule) -> dict[str, Any]:
    gradients = {name: parameter.grad for name, parameter in module.named_parameters()}
    return copy.deepcopy(
        {
            "state": dict(module.state_dict()),
            "gradients": {
                name: torch.zeros(()) if g is None else g for name, g in gradients.items()
            },
            "generator": torch.get_rng_state(),
            "training": [part.training for part in module.modules()],
        }
    )


def run(
    corpus: Path,
    probe: Probe,
    steps: int = 1,
    *,
    model: dict[str, Any] | None = None,
    micro_batches: int = 1,
    **data: Any,
) -> tuple[Asking, LanguageModel]:
    """A run at uniform weights whose every step asks the probe; what it saw and the module."""
    asking = Asking(probe)
    trainer = Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=-1,
        max_steps=steps,
        accumulate_grad_batches=micro_batches,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        limit_val_batches=0,
        callbacks=[asking],
    )
    settings = {"sequence_length": 32, "batch_size": 8, **data}
    module = LanguageModel(**{"config": SMALL, "warmup_steps": 0, **(model or {})})
    with warnings.catch_warnings():
        # Lightning's own use of torch.
        warnings.filterwarnings("ignore", message=r"`isinstance\(treespec, LeafSpec\)`")
        trainer.fit(module, CorpusDataModule(corpus, **settings))
    return asking, module
