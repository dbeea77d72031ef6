"""The trained model in the form that ``transformers`` opens."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Callback, LightningModule, Trainer
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict

from trainer.module import LanguageModel


class ModelExportCallback(Callback):
    """Writes the model to a folder when training ends, whole whatever the strategy sharded.

    Args:
        folder: Where ``AutoModelForCausalLM.from_pretrained`` shall find it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, LanguageModel)
        model = pl_module.network.model
        options = StateDictOptions(full_state_dict=True, cpu_offload=True)
        # Gathering takes every rank, writing only one.
        weights = get_model_state_dict(model, options=options)
        if trainer.is_global_zero:
            model.save_pretrained(self._folder, state_dict=weights)
