"""The network beside a frozen reference model on the tokens of the batch."""

from __future__ import annotations

import pickle
from pathlib import Path

import torch
import transformers
from lightning.pytorch import Trainer
from torch import Tensor
from torch.distributed.fsdp import register_fsdp_forward_method

from mixer.batch import Batch
from policies import Signal
from policies.feedback import ratio
from policies.signals import ReferenceLoss
from trainer.data import CorpusDataModule
from trainer.module import LanguageModel
from trainer.network import SequenceLossNetwork, another_like, load_model
from trainer.probes.probe import FORWARD, Probe, evaluating, sum_over_ranks

_SETTING = "signals.reference"
# Where a checkpoint of a run keeps its ``transformers`` model.
_PREFIX = "net.model."
# Embeddings are padded to round numbers. Far more rows than tokens are another vocabulary, whose
# losses would be of other text than the batch holds.
_MOST_PADDING = 1.05


class ReferenceLossProbe(Probe):
    """How much worse the network predicts each token of the batch than a frozen reference model.

    Both see the tokens without dropout, at the weights the batch meets. The network's losses of
    training are sums over sequences, so its forward pass is done anew, once for a micro-batch, as
    is the reference's. A sequence with a loss that is not finite is left out. Every rank holds the
    whole reference model, also where the network is sharded.

    Args:
        reference: A folder that ``from_pretrained`` opens, such as ``model`` in the folder of a
            finished run; or a checkpoint of a run with the same model settings as this one.
    """

    signal = Signal.REFERENCE_LOSS

    def __init__(self, reference: Path) -> None:
        super().__init__()
        self._path = reference

    def setup(self, trainer: Trainer, module: LanguageModel, data: CorpusDataModule) -> None:
        self._trainer, self._module = trainer, module
        network = module.network
        reference = open_reference(self._path, network)
        _check_fits(reference, network, data, self._path)
        size = sum(parameter.numel() for parameter in reference.parameters())
        own = sum(parameter.numel() for parameter in network.parameters())
        # The reference's pass costs as many tokens of training as it is larger than the network.
        self._cost = FORWARD * trainer.world_size * (1 + size / own)
        # Kept here and not in the module: no optimiser, no checkpoint and no strategy knows of it.
        trainer.precision_plugin.convert_module(reference)
        self._reference = reference.to(module.device).eval().requires_grad_(False)
        # Sharded parameters are gathered for this method as they are for ``forward``.
        register_fsdp_forward_method(network, "token_losses")
        self._start(len(data.names))

    def _start(self, num_domains: int) -> None:
        # Tokens, excess and clipped excess of each domain; float64 where the device has it, so that
        # the order of batches and ranks does not show.
        device = self._module.device
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self._sums = torch.zeros((num_domains, 3), dtype=dtype, device=device)

    def see(self, batch: Batch) -> None:
        with torch.no_grad(), evaluating(self._module):
            losses = self._module.network.token_losses(batch.tokens)
            excess = losses - self._reference.token_losses(batch.tokens)
        self._sums.index_add_(0, batch.domain, excess_sums(excess).to(self._sums.dtype))
        self.tokens += self._cost * excess.numel()

    def answer(self) -> ReferenceLoss:
        tokens, excess, clipped = sum_over_ranks(self._sums, self._trainer).T.cpu().double().numpy()
        self._start(len(tokens))
        return ReferenceLoss(ratio(excess, tokens), ratio(clipped, tokens))


def excess_sums(excess: Tensor) -> Tensor:
    """Tokens, excess and clipped excess of each sequence, (B, 3), of excess losses (B, T).

    All three are zero where any token's is not finite.
    """
    finite = excess.isfinite().all(dim=1, keepdim=True)
    believed = torch.where(finite, excess, 0.0)
    columns = [finite.expand_as(excess), believed, believed.clamp(min=0)]
    return torch.stack([column.sum(dim=1, dtype=torch.float32) for column in columns], dim=1)


def open_reference(path: Path, network: SequenceLossNetwork) -> SequenceLossNetwork:
    """A model from a folder, or from a checkpoint of a run with the architecture of ``network``.

    Raises:
        ValueError: The path is neither, or the model is none whose losses we can compute.
    """
    if path.is_file():
        model = _load_checkpoint(path, network)
    elif (path / "config.json").is_file():
        model = load_model(path, _SETTING)
    else:
        raise ValueError(
            f"{_SETTING} must be a folder with config.json or a checkpoint of a run in one file, "
            f"got {path}; a finished run has such a folder under the name model"
        )
    reference = SequenceLossNetwork(model)
    reference.check_head()
    return reference


def _load_checkpoint(path: Path, network: SequenceLossNetwork) -> transformers.PreTrainedModel:
    """A model like the network's with the weights of a checkpoint.

    Raises:
        ValueError: The file is no checkpoint of a run, or its model is another.
    """
    way_out = "name the folder model of the run it is from instead"
    try:
        state = torch.load(path, map_location="cpu", mmap=True, weights_only=True)["state_dict"]
    except (RuntimeError, pickle.UnpicklingError, KeyError, TypeError) as error:
        raise ValueError(f"{_SETTING} {path} is no checkpoint of a run; {way_out}") from error
    model = another_like(network.model)
    weights = {
        name.removeprefix(_PREFIX): value
        for name, value in state.items()
        if name.startswith(_PREFIX)
    }
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise ValueError(
            f"{_SETTING} {path} holds another model than the settings of this run make; {way_out}"
        ) from error
    return model


def _check_fits(
    reference: SequenceLossNetwork, network: SequenceLossNetwork, data: CorpusDataModule, path: Path
) -> None:
    """Refuse a reference that cannot read the corpus.

    Raises:
        ValueError: It has another vocabulary, or takes shorter sequences only.
    """
    rows, needed = reference.vocab_size, data.vocab_size
    most = max(network.vocab_size, int(needed * _MOST_PADDING) + 64)
    if not needed <= rows <= most:
        raise ValueError(
            f"{_SETTING} {path} knows {rows} tokens, the corpus uses {needed}; choose a model that "
            "was trained with the tokenizer of the corpus"
        )
    longest = getattr(reference.model.config, "max_position_embeddings", data.sequence_length)
    if longest < data.sequence_length:
        raise ValueError(
            f"{_SETTING} {path} takes {longest} tokens at once, a sequence has "
            f"{data.sequence_length}; choose another model or a smaller data.sequence_length"
        )
