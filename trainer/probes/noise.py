"""How large each domain's gradient is, and how much that of one sequence strays from it."""

from __future__ import annotations

import numpy as np
from lightning.pytorch import Trainer

from mixer.batch import Batch
from policies import Signal
from policies.feedback import ratio
from policies.signals import GradientNoise
from trainer.data import CorpusDataModule
from trainer.module import LanguageModel
from trainer.probes.domain_sketches import DomainSketches, SketchSums
from trainer.probes.gradient_probe import GradientProbe


class GradientNoiseProbe(GradientProbe):
    """Squared norm of each domain's expected gradient, and variance of a sequence's about it.

    The sequences are drawn from the training split, but they are not those of the batch, which
    holds one or none of most domains: they are the same each time, chosen with another seed than
    the order of training, and do not count as training data. Gradients are of a sequence's mean
    loss per token at the weights that the step's batch met.

    Args:
        sequences: Training sequences per domain, at least 2. A domain with fewer has no noise.
        sketch_size: Numbers that stand for a gradient.
        layers: Regular expression that names of linear layers must match to count.
        seed: Seed of the projections and of the choice of sequences.

    Raises:
        ValueError: A setting is out of range.
    """

    signal = Signal.GRADIENT_NOISE

    def __init__(
        self, sequences: int = 2, sketch_size: int = 1024, layers: str = ".*", seed: int = 0
    ) -> None:
        super().__init__(
            sequences=sequences,
            sketch_size=sketch_size,
            layers=layers,
            seed=seed,
            split="train",
            fewest=2,
        )

    def setup(self, trainer: Trainer, module: LanguageModel, data: CorpusDataModule) -> None:
        super().setup(trainer, module, data)
        self._measured: DomainSketches | None = None

    def see(self, batch: Batch) -> None:
        del batch
        if self._measured is None:  # The step's first micro-batch.
            self._measured = self._sketches_of_fixed()

    def answer(self) -> GradientNoise:
        sums, self._measured = self._measured or self._sums(), None
        return gradient_noise(sums.over_ranks(self._trainer))


def gradient_noise(sums: SketchSums) -> GradientNoise:
    """Unbiased estimates from n sequences s of each domain; NaN where n is below two.

    The squared norm of their expectation is the mean product of two different ones,
    ``(|sum s|^2 - sum |s|^2) / (n (n - 1))``; the variance is
    ``(sum |s|^2 - |sum s|^2 / n) / (n - 1)``.
    """
    n = sums.sequences
    square = np.vecdot(sums.total, sums.total)
    pairs = n * (n - 1)
    # No sum of squares is that small, but for rounding.
    spread = np.maximum(n * sums.squares - square, 0.0)
    return GradientNoise(ratio(square - sums.squares, pairs), ratio(spread, pairs))
