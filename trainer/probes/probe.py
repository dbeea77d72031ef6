"""What a probe is: something that measures one signal in a step whose decision asked for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar

import torch
from lightning.pytorch import Trainer
from torch import Tensor, distributed

from mixer.batch import Batch
from policies import Signal
from trainer.data import CorpusDataModule
from trainer.module import LanguageModel

# What passes cost in tokens of training, which are one forward and one backward pass: a backward
# pass takes two forward passes' work, half of it for the gradients of the parameters.
FORWARD = 1 / 3
FORWARD_AND_HALF_BACKWARD = 2 / 3


class Probe(ABC):
    """Measures one signal.

    In a step whose decision asks for the signal, a probe sees each micro-batch of this rank before
    the step changes the network, and answers after the optimiser's step. It must leave parameters,
    gradients, the optimiser and all generators as they were. What it answers must be the same on
    every rank; every rank takes the same path.

    Attributes:
        signal: What it measures.
        tokens: What the measurements cost in this step on all ranks, in tokens of training; reset
            by whoever reads it.
    """

    signal: ClassVar[Signal]

    def __init__(self) -> None:
        self.tokens = 0.0

    @abstractmethod
    def setup(self, trainer: Trainer, module: LanguageModel, data: CorpusDataModule) -> None:
        """Open what the probe needs, once, before the first step.

        Raises:
            ValueError: It cannot be measured in this run.
        """

    def see(self, batch: Batch) -> None:
        """Look at a micro-batch at the weights it is about to change; nothing by default."""
        del batch

    @abstractmethod
    def answer(self) -> Any:
        """The signal in the form of `policies.signals`, after the optimiser's step."""

    def state_dict(self) -> dict[str, Any]:
        """What it must remember, in plain Python, the same on every rank; nothing by default.

        It may be loaded before ``setup``.
        """
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        del state


@contextmanager
def evaluating(module: LanguageModel) -> Iterator[None]:
    """Without dropout and, where the run has one, in its lower precision; as it was afterwards."""
    network = module.network
    was_training = network.training
    network.eval()
    try:
        with module.trainer.precision_plugin.forward_context():
            yield
    finally:
        network.train(was_training)


def sum_over_ranks(values: Tensor, trainer: Trainer) -> Tensor:
    """Values added up over all ranks, in place."""
    if trainer.world_size > 1:
        distributed.all_reduce(values)
    return values


def losses_without_gradient(module: LanguageModel, batch: Batch) -> tuple[Tensor, Tensor]:
    """Loss in nats and bytes of text of each sequence, float32 (B,), at the present weights."""
    with torch.no_grad(), evaluating(module):
        losses = module.network(batch.tokens)
    return losses, module.bytes_of(batch)
