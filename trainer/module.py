"""The Lightning module: a language model trained on batches of mixed domains."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any, TypedDict, cast

import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from torch import Tensor

from mixer.batch import Batch
from trainer.data import CorpusDataModule
from trainer.network import SequenceLossNetwork, build_network
from trainer.reweighting import Reweighting, reweighted
from trainer.schedule import Decay, learning_rate_factor
from trainer.sharding import shard


class StepOutput(TypedDict):
    """What a step hands to the callbacks.

    Attributes:
        loss: Mean loss in nats per token, to be differentiated; weighted if so configured.
        losses: Summed loss of each sequence in nats, float32 (B,), detached.
        bytes: UTF-8 bytes each sequence's predicted tokens stand for, float32 (B,).
    """

    loss: Tensor
    losses: Tensor
    bytes: Tensor


class LanguageModel(LightningModule):
    """A ``transformers`` model, built when the corpus is known, with AdamW.

    Args:
        architecture: A ``model_type`` of transformers: llama, qwen3, gpt_neox, ...
        config: Settings of that architecture, such as ``hidden_size`` and ``num_hidden_layers``.
            ``vocab_size`` and ``max_position_embeddings`` follow from the data.
        pretrained: A local folder with a model to start from instead.
        learning_rate: Peak learning rate.
        weight_decay: Decoupled weight decay of matrices; vectors have none.
        betas: AdamW's two decay rates.
        warmup_steps: Steps of linear warm-up.
        decay: How the learning rate falls after the warm-up.
        final_factor: Learning rate at the last step, as a fraction of the peak.
        compile_network: Compile the network's body with ``torch.compile``.
        reweighting: How sequences of a batch are weighted by their losses; all alike if not given.
        seed: Seed of the initial weights.

    Attributes:
        effective_fraction: With reweighting, the effective number of sequences in the last batch
            as a fraction of its sequences, a scalar on the device.

    Raises:
        ValueError: A setting is out of range.
    """

    def __init__(
        self,
        architecture: str = "llama",
        config: dict[str, Any] | None = None,
        pretrained: Path | None = None,
        learning_rate: float = 1e-3,
        weight_decay: float = 0.1,
        betas: tuple[float, float] = (0.9, 0.95),
        warmup_steps: int = 50,
        decay: Decay = "cosine",
        final_factor: float = 0.1,
        compile_network: bool = False,
        reweighting: Reweighting | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not learning_rate > 0:
            raise ValueError(f"model.learning_rate must be positive, got {learning_rate}")
        if warmup_steps < 0:
            raise ValueError(f"model.warmup_steps must not be negative, got {warmup_steps}")
        if not 0 <= final_factor <= 1:
            raise ValueError(f"model.final_factor must be in [0, 1], got {final_factor}")
        self._architecture, self._config = architecture, config or {}
        self._pretrained = pretrained
        self._learning_rate, self._weight_decay, self._betas = learning_rate, weight_decay, betas
        self._warmup_steps, self._decay, self._final_factor = warmup_steps, decay, final_factor
        self._compile_network = compile_network
        self._reweighting = reweighting
        self.effective_fraction: Tensor | None = None
        self._seed = seed
        self.net: SequenceLossNetwork | None = None

    @property
    def data(self) -> CorpusDataModule:
        return cast(CorpusDataModule, self.trainer.datamodule)  # type: ignore[attr-defined]

    @property
    def network(self) -> SequenceLossNetwork:
        """The network, once ``configure_model`` has built it."""
        if self.net is None:
            raise RuntimeError("the network is built when training or validation starts")
        return self.net

    def setup(self, stage: str) -> None:
        micro_batches = self.trainer.accumulate_grad_batches
        if stage == "fit" and self._reweighting is not None and micro_batches > 1:
            raise ValueError(
                "model.reweighting compares the sequences of a whole batch, but "
                f"trainer.accumulate_grad_batches cuts it into {micro_batches} parts; set it to 1, "
                "and use more devices or a smaller data.batch_size"
            )

    def configure_model(self) -> None:
        if self.net is not None:
            return
        self.net = build_network(
            architecture=self._architecture,
            config=self._config,
            pretrained=self._pretrained,
            vocab_size=self.data.vocab_size,
            sequence_length=self.data.sequence_length,
            seed=self._seed,
        )
        table = torch.from_numpy(self.data.token_bytes).to(torch.float32)
        self.register_buffer("token_bytes", table, persistent=False)
        if self._compile_network:
            # The body only: compiled, the slices of the head would be unrolled.
            self.net.model.base_model.compile()
        if self.device_mesh is not None:
            shard(self.net, self.device_mesh)

    def _step(self, batch: Batch) -> StepOutput:
        losses = self.network(batch.tokens)
        targets = batch.tokens[:, 1:]
        return {
            "loss": self._objective(losses, targets.shape[1]),
            "losses": losses.detach(),
            "bytes": self.bytes_of(batch),
        }

    def _objective(self, losses: Tensor, num_tokens: int) -> Tensor:
        """The mean of losses (B,) per token, or what stands for it in training."""
        if not self.training:
            return losses.sum() / (len(losses) * num_tokens)
        if self._reweighting is None:
            # A sequence whose loss is NaN or infinite teaches nothing; it must not spoil the rest.
            return torch.where(losses.isfinite(), losses, 0.0).sum() / (len(losses) * num_tokens)
        loss, self.effective_fraction = reweighted(
            self._reweighting, losses, num_tokens, self.trainer
        )
        return loss

    def bytes_of(self, batch: Batch) -> Tensor:
        """UTF-8 bytes that the predicted tokens of each sequence stand for, float32 (B,)."""
        return cast(Tensor, self.token_bytes)[batch.tokens[:, 1:]].sum(dim=1)

    def training_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        del batch_idx
        return self._step(batch)

    def validation_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        del batch_idx
        return self._step(batch)

    def test_step(self, batch: Batch, batch_idx: int) -> StepOutput:
        del batch_idx
        return self._step(batch)

    def configure_optimizers(self) -> OptimizerLRScheduler:
        trained = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = torch.optim.AdamW(
            [
                {"params": [p for p in trained if p.ndim >= 2], "weight_decay": self._weight_decay},
                {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
            ],
            lr=self._learning_rate,
            betas=self._betas,
            fused=True,
        )
        factor = partial(
            learning_rate_factor,
            total_steps=self.trainer.max_steps,
            warmup_steps=self._warmup_steps,
            decay=self._decay,
            final_factor=self._final_factor,
        )
        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }
