"""What probes of gradients have in common: sketches of sequences, some of them always the same."""

from __future__ import annotations

import re
from collections.abc import Mapping

from lightning.pytorch import Trainer
from torch.distributed.tensor import DTensor

from mixer.batch import Batch
from mixer.evaluation import EvaluationLoader
from mixer.permutation import key_of
from trainer.data import CorpusDataModule
from trainer.module import LanguageModel
from trainer.probes.domain_sketches import DomainSketches
from trainer.probes.gradient_sketch import GradientSketcher, Scale
from trainer.probes.probe import FORWARD_AND_HALF_BACKWARD, Probe, evaluating


class GradientProbe(Probe):
    """Sketches gradients of a step's sequences and of fixed ones.

    Args:
        sequences: Fixed sequences per domain; fewer where the split has fewer.
        sketch_size: Numbers that stand for a gradient.
        layers: Regular expression that names of linear layers must match to count.
        seed: Seed of the projections and of the choice of fixed sequences.
        split: Where the fixed sequences come from.
        fewest: Least number of fixed sequences per domain.

    Raises:
        ValueError: A setting is out of range.
    """

    def __init__(
        self, *, sequences: int, sketch_size: int, layers: str, seed: int, split: str, fewest: int
    ) -> None:
        super().__init__()
        if sequences < fewest:
            raise ValueError(
                f"signals.gradient_sequences must be at least {fewest} for {self.signal}, "
                f"got {sequences}"
            )
        if sketch_size < 1:
            raise ValueError(f"signals.sketch_size must be at least 1, got {sketch_size}")
        try:
            re.compile(layers)
        except re.error as error:
            raise ValueError(
                f"signals.gradient_layers must be a regular expression, got {layers!r}: {error}"
            ) from error
        self._sequences, self._sketch_size, self._layers = sequences, sketch_size, layers
        self._seed, self._split = seed, split

    def setup(self, trainer: Trainer, module: LanguageModel, data: CorpusDataModule) -> None:
        self._trainer, self._module = trainer, module
        self._num_domains, self._sequence_length = len(data.names), data.sequence_length
        if any(isinstance(weight, DTensor) for weight in module.network.parameters()):
            raise ValueError(
                f"the signal {self.signal} cannot be measured on a sharded network, no rank of "
                "which has whole weights; train with DDP, or choose a policy without that signal"
            )
        self._sketcher = GradientSketcher(
            module.network, size=self._sketch_size, layers=self._layers, seed=self._seed
        )
        parts = trainer.world_size * trainer.accumulate_grad_batches
        self._fixed = EvaluationLoader(
            data.corpus.streams(
                self._split,
                sequence_length=data.sequence_length,
                # Neither the windows of evaluations nor those that training begins with.
                seed=key_of(self._seed, self.signal),
            ),
            sequences_per_domain=self._sequences,
            batch_size=max(1, data.batch_size // parts),
            rank=trainer.global_rank,
            num_ranks=trainer.world_size,
        )

    def _sketches_of_batch(
        self, sums: DomainSketches, batch: Batch, scales: Mapping[str, Scale] | None = None
    ) -> None:
        """Add the sequences of a micro-batch, as large on every rank, to sums."""
        self._add(sums, batch, scales)
        self._count(len(batch.tokens) * self._trainer.world_size)

    def _sketches_of_fixed(self, scales: Mapping[str, Scale] | None = None) -> DomainSketches:
        """Sums over the fixed sequences at the present weights."""
        sums = self._sums()
        for batch in self._fixed:
            self._add(sums, batch, scales)
        self._count(sum(self._fixed.counts))
        return sums

    def _sums(self) -> DomainSketches:
        return DomainSketches(self._num_domains, self._sketcher.size, self._module.device)

    def _add(self, sums: DomainSketches, batch: Batch, scales: Mapping[str, Scale] | None) -> None:
        device = self._module.device
        with evaluating(self._module):
            sketches = self._sketcher.sketch(batch.tokens.to(device), scales)
        # Of the sequence's mean loss per token.
        sums.add(sketches / self._sequence_length, batch.domain.to(device))

    def _count(self, sequences: int) -> None:
        self.tokens += FORWARD_AND_HALF_BACKWARD * sequences * self._sequence_length
