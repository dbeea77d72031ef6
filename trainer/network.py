"""A Hugging Face causal language model that answers with one loss per sequence, or per token."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
import transformers
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

# Logits of more elements than this are computed in slices and computed again for the backward
# pass: 2**27 float32 logits take 512 MiB, and a wide multilingual vocabulary soon needs more.
_LARGEST_LOGITS = 2**27


class SequenceLossNetwork(nn.Module):
    """Body and head of a causal language model, and the cross entropy between.

    Shapes: B sequences of T predicted tokens, vocabulary V.

    Args:
        model: A ``transformers`` causal language model whose logits are its head applied to its
            body's last hidden state.
    """

    def __init__(self, model: transformers.PreTrainedModel) -> None:
        super().__init__()
        self.model = model

    @property
    def vocab_size(self) -> int:
        return num_embeddings(self.model)

    def forward(self, tokens: Tensor) -> Tensor:
        """Summed cross entropy of each sequence in nats, float32 (B,), for tokens (B, T + 1)."""
        return self._losses(self._sequence_losses, tokens)

    def token_losses(self, tokens: Tensor) -> Tensor:
        """Cross entropy of each predicted token in nats, float32 (B, T), for tokens (B, T + 1)."""
        return self._losses(self._token_losses, tokens)

    def _losses(self, head: Callable[[Tensor, Tensor], Tensor], tokens: Tensor) -> Tensor:
        inputs, targets = tokens[:, :-1], tokens[:, 1:]
        hidden = self.model.base_model(input_ids=inputs, use_cache=False).last_hidden_state
        sequences_at_once = max(1, _LARGEST_LOGITS // (targets.shape[1] * self.vocab_size))
        if sequences_at_once >= len(tokens):
            return head(hidden, targets)
        slices = zip(hidden.split(sequences_at_once), targets.split(sequences_at_once), strict=True)
        return torch.cat([checkpoint(head, *slice_, use_reentrant=False) for slice_ in slices])

    def _sequence_losses(self, hidden: Tensor, targets: Tensor) -> Tensor:
        return self._token_losses(hidden, targets).sum(dim=1)

    def _token_losses(self, hidden: Tensor, targets: Tensor) -> Tensor:
        logits = self.model.get_output_embeddings()(hidden).float()
        # Rows of logits, not (B, V, T): a vocabulary that is not innermost is several times slower.
        losses = functional.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
        return losses.view_as(targets)

    def check_head(self) -> None:
        """Refuse models that do more to their logits than apply the head to the last hidden state.

        Raises:
            ValueError: The model's own logits differ from ours, by soft-capping or scaling, say.
        """
        hidden: list[Tensor] = []

        def enlarge(module: nn.Module, inputs: object, output: Any) -> Any:
            # Soft-capping shows only in logits far larger than those of a fresh model.
            output.last_hidden_state = output.last_hidden_state * 1000
            hidden.append(output.last_hidden_state)
            return output

        tokens = torch.arange(8, device=self.model.device)[None] % self.vocab_size
        was_training = self.model.training
        self.model.eval()
        with torch.no_grad(), self.model.base_model.register_forward_hook(enlarge):
            own = self.model(input_ids=tokens, use_cache=False).logits
            ours = self.model.get_output_embeddings()(hidden[-1])
        self.model.train(was_training)
        if not torch.allclose(own, ours, rtol=1e-3, atol=1e-4):
            raise ValueError(
                f"architecture {self.model.config.model_type!r} changes its logits after the head "
                "(soft-capping or scaling), which per-sequence losses do not reproduce; choose "
                "another one, such as llama, qwen3 or gpt_neox"
            )


def build_network(
    *,
    architecture: str,
    config: Mapping[str, Any],
    pretrained: Path | None,
    vocab_size: int,
    sequence_length: int,
    seed: int,
) -> SequenceLossNetwork:
    """A network from a configuration, or from a folder that ``from_pretrained`` opens.

    Args:
        architecture: A ``model_type`` of ``transformers``, such as ``llama``.
        config: Settings of that architecture's configuration class.
        pretrained: A folder with weights to start from; architecture and config are then its own.
        vocab_size: Token ids are below it; embeddings are padded to a multiple of 64.
        sequence_length: Longest sequence the model must take.
        seed: Seed of the initial weights.

    Raises:
        ValueError: The architecture is unknown, a setting is not one of its settings, or the
            pretrained vocabulary is too small.
    """
    padded = -(-vocab_size // 64) * 64
    if pretrained is not None:
        model = load_model(pretrained, "model.pretrained")
        rows = num_embeddings(model)
        if rows < vocab_size:
            raise ValueError(
                f"model.pretrained {pretrained} knows {rows} tokens, the corpus uses {vocab_size}; "
                "prepare the corpus with that model's tokenizer"
            )
    else:
        settings = {
            "vocab_size": padded,
            "max_position_embeddings": sequence_length,
            "tie_word_embeddings": True,
            **config,
        }
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = transformers.AutoModelForCausalLM.from_config(
                _configuration(architecture, settings)
            )
    network = SequenceLossNetwork(model)
    network.check_head()
    return network


def num_embeddings(model: transformers.PreTrainedModel) -> int:
    """Rows of the input embedding: the vocabulary, padding included."""
    return len(cast(Tensor, model.get_input_embeddings().weight))


def load_model(folder: Path, setting: str) -> transformers.PreTrainedModel:
    """The model in a folder that ``from_pretrained`` opens, with float32 weights.

    Args:
        folder: Where config.json and safetensors are.
        setting: The setting that named the folder, for messages.

    Raises:
        ValueError: There is no config.json.
    """
    if not (folder / "config.json").is_file():
        raise ValueError(f"{setting} must be a folder with config.json, got {folder}")
    return transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, local_files_only=True, use_safetensors=True
    )


def another_like(model: transformers.PreTrainedModel) -> transformers.PreTrainedModel:
    """A model of the same configuration, float32 on the host, whose weights are still to come."""
    with torch.random.fork_rng(devices=[]):
        another: transformers.PreTrainedModel = transformers.AutoModelForCausalLM.from_config(
            copy.deepcopy(model.config), dtype=torch.float32
        )
    return another


def _configuration(architecture: str, settings: Mapping[str, Any]) -> transformers.PretrainedConfig:
    try:
        known = transformers.AutoConfig.for_model(architecture)
    except ValueError as error:
        raise ValueError(
            f"model.architecture {architecture!r} is no model_type of transformers "
            f"{transformers.__version__}; use llama, qwen3, gpt_neox, ..."
        ) from error
    if unknown := [name for name in settings if not hasattr(known, name)]:
        raise ValueError(
            f"model.config has settings that {architecture!r} does not know: {', '.join(unknown)}"
        )
    return transformers.AutoConfig.for_model(architecture, **settings)
