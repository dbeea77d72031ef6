"""The Lightning data module: a corpus folder as a mixture and as held-out sequences."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from lightning.pytorch import LightningDataModule, Trainer
from numpy.typing import NDArray

from mixer.corpus import Corpus
from mixer.evaluation import EvaluationLoader
from mixer.loader import MixtureLoader
from mixer.mixture import Mixture
from mixer.resampling import Resampling
from mixer.sampling import SampledStream, SamplingFunction
from mixer.streams import sequences_per_epoch

# Held-out windows are the same in every run, so that runs of any seed can be compared.
_EVALUATION_SEED = 0
EVERY_DOMAIN = "*"


class CorpusDataModule(LightningDataModule):
    """Per-domain streams of a prepared corpus.

    Args:
        corpus: A folder made by ``glotmix prepare`` or ``glotmix manifest``.
        sequence_length: Tokens to predict per sequence.
        batch_size: Sequences per optimiser step, over all ranks and accumulated micro-batches, so
            that a run does not change with the number of GPUs.
        domains: Domains to train on; all of the corpus if not given.
        validation_sequences: Held-out sequences per domain, the same at every evaluation.
        test_sequences: The same for ``glotmix test``; the whole test split if not given.
        evaluation_batch_size: Sequences per evaluation batch and rank; that of training if not
            given.
        sampling: How often an epoch holds each document of a domain, by domain ("*" for all that
            are not named): sampling functions over the scores beside the shards.
        resampling: How shares become whole sequences: quota (within one sequence of the asked sum
            at any time), systematic (unbiased at each step), or multinomial.
        seed: Seed of the order within domains and of the rounding of shares.

    Raises:
        ValueError: The corpus or a setting is unusable.
    """

    def __init__(
        self,
        corpus: Path,
        sequence_length: int = 512,
        batch_size: int = 32,
        domains: list[str] | None = None,
        validation_sequences: int = 64,
        test_sequences: int | None = None,
        evaluation_batch_size: int | None = None,
        sampling: dict[str, SamplingFunction] | None = None,
        resampling: Resampling = "quota",
        seed: int = 0,
    ) -> None:
        super().__init__()
        for name, value in (
            ("sequence_length", sequence_length),
            ("batch_size", batch_size),
            ("validation_sequences", validation_sequences),
        ):
            if value < 1:
                raise ValueError(f"data.{name} must be at least 1, got {value}")
        self.corpus = Corpus(corpus, domains)
        self.sequence_length = sequence_length
        self.batch_size = batch_size
        self.seed = seed
        self._limits = {"validation": validation_sequences, "test": test_sequences}
        self._evaluation_batch_size = evaluation_batch_size
        self._resampling: Resampling = resampling
        self._sampled = self._sampled_streams(sampling or {})
        self.token_bytes: NDArray[np.float64] = self.corpus.token_bytes()
        self._mixture: Mixture | None = None
        self._evaluation: dict[str, EvaluationLoader] = {}

    def _sampled_streams(
        self, sampling: Mapping[str, SamplingFunction]
    ) -> dict[str, SampledStream]:
        if unknown := sampling.keys() - {*self.names, EVERY_DOMAIN}:
            raise ValueError(
                f"data.sampling names {', '.join(sorted(unknown))}, which the run does not train "
                f"on; there are {', '.join(self.names)}, and {EVERY_DOMAIN} for all others"
            )
        functions = {name: sampling.get(name, sampling.get(EVERY_DOMAIN)) for name in self.names}
        return {
            name: self.corpus.sampled_stream(
                name, function, sequence_length=self.sequence_length, seed=self.seed
            )
            for name, function in functions.items()
            if function is not None
        }

    @property
    def names(self) -> tuple[str, ...]:
        return self.corpus.names

    @property
    def vocab_size(self) -> int:
        return len(self.token_bytes)

    @property
    def mixture(self) -> Mixture:
        """The mixture that training draws from, once ``setup`` has opened it."""
        if self._mixture is None:
            raise RuntimeError("the mixture is opened when training starts")
        return self._mixture

    def train_entries(self) -> NDArray[np.float64]:
        """Tokens and bytes of each domain's training split, shape (k, 2)."""
        entries = self.corpus.entries("train")
        return np.array([[entry.tokens, entry.bytes] for entry in entries], dtype=np.float64)

    def epoch_tokens(self) -> NDArray[np.float64]:
        """Tokens predicted in one reading of each domain's training split, shape (k,).

        Raises:
            ValueError: A domain is shorter than a sequence.
        """
        length = self.sequence_length
        entries = zip(self.names, self.corpus.entries("train"), strict=True)
        sequences = [
            self._sampled[name].num_sequences
            if name in self._sampled
            else sequences_per_epoch(name, entry.tokens, length)
            for name, entry in entries
        ]
        return np.array(sequences, dtype=np.float64) * length

    def stray_sequences(self, total_steps: int) -> float:
        """By how many sequences of a domain the batches of a run may stray from its mixtures.

        Quota keeps the sum of all steps within about one. The other two draw anew in each step,
        and what they are off by adds up like a random walk.
        """
        return 2.0 if self._resampling == "quota" else 2.0 * math.sqrt(total_steps)

    def setup(self, stage: str) -> None:
        if stage != "fit" or self._mixture is not None:
            return
        trainer = self._trainer()
        streams = [
            self._sampled.get(stream.name, stream)
            for stream in self.corpus.streams(
                "train", sequence_length=self.sequence_length, seed=self.seed
            )
        ]
        self._evaluation_loader("validation")  # Refuses unusable held-out splits before training.
        self._mixture = Mixture(
            streams,
            batch_size=self.batch_size,
            seed=self.seed,
            resampling=self._resampling,
            rank=trainer.global_rank,
            num_ranks=trainer.world_size,
            num_micro_batches=trainer.accumulate_grad_batches,
        )

    def train_dataloader(self) -> MixtureLoader:
        trainer = self._trainer()
        return MixtureLoader(self.mixture, trainer.max_steps * trainer.accumulate_grad_batches)

    def val_dataloader(self) -> EvaluationLoader:
        return self._evaluation_loader("validation")

    def test_dataloader(self) -> EvaluationLoader:
        return self._evaluation_loader("test")

    def _evaluation_loader(self, split: str) -> EvaluationLoader:
        if split in self._evaluation:
            return self._evaluation[split]
        trainer = self._trainer()
        parts = trainer.world_size * trainer.accumulate_grad_batches
        loader = self._evaluation[split] = EvaluationLoader(
            self.corpus.streams(split, sequence_length=self.sequence_length, seed=_EVALUATION_SEED),
            sequences_per_domain=self._limits[split],
            batch_size=self._evaluation_batch_size or max(1, self.batch_size // parts),
            rank=trainer.global_rank,
            num_ranks=trainer.world_size,
        )
        return loader

    def _trainer(self) -> Trainer:
        if self.trainer is None:
            raise RuntimeError("the data module is not attached to a Trainer")
        return self.trainer
