"""Where gradients of training and of held-out text point, in few enough numbers to compare all."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from lightning.pytorch import Trainer

from mixer.batch import Batch
from policies import Array, Signal
from policies.feedback import ratio
from policies.signals import GradientSketches
from trainer.data import CorpusDataModule
from trainer.module import LanguageModel
from trainer.probes.domain_sketches import DomainSketches
from trainer.probes.gradient_probe import GradientProbe
from trainer.probes.gradient_sketch import Scale
from trainer.probes.preconditioning import adam_scales


class GradientAlignmentProbe(GradientProbe):
    """Sketches of each domain's gradient, on the step's batch and on held-out sequences.

    Both are of the mean loss per token at the weights that the step's batch met, without dropout.
    The held-out sequences, of the validation split, are the same each time; the sequences of the
    batch are those of all ranks and micro-batches.

    Args:
        sequences: Held-out sequences per domain.
        sketch_size: Numbers that stand for a gradient.
        layers: Regular expression that names of linear layers must match to count.
        preconditioned: Scale gradients by AdamW's second moments, so that inner products are what a
            step of AdamW without momentum does, and not one of plain descent.
        seed: Seed of the projections and of the choice of held-out sequences.

    Raises:
        ValueError: A setting is out of range.
    """

    signal = Signal.GRADIENT_ALIGNMENT

    def __init__(
        self,
        sequences: int = 2,
        sketch_size: int = 1024,
        layers: str = ".*",
        preconditioned: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__(
            sequences=sequences,
            sketch_size=sketch_size,
            layers=layers,
            seed=seed,
            split="validation",
            fewest=1,
        )
        self._preconditioned = preconditioned

    def setup(self, trainer: Trainer, module: LanguageModel, data: CorpusDataModule) -> None:
        super().setup(trainer, module, data)
        self._train: DomainSketches | None = None
        self._validation = self._sums()

    def see(self, batch: Batch) -> None:
        scales = self._scales()
        if self._train is None:  # The step's first micro-batch.
            self._train = self._sums()
            self._validation = self._sketches_of_fixed(scales)
        self._sketches_of_batch(self._train, batch, scales)

    def answer(self) -> GradientSketches:
        train, self._train = self._train or self._sums(), None
        return GradientSketches(self._means(train), self._means(self._validation))

    def _means(self, sums: DomainSketches) -> Array:
        total, _, sequences = sums.over_ranks(self._trainer)
        return total * ratio(np.ones_like(sequences), sequences)[:, None]

    def _scales(self) -> Mapping[str, Scale] | None:
        if not self._preconditioned:
            return None
        return adam_scales(self._sketcher.layers, self._trainer.optimizers[0])
