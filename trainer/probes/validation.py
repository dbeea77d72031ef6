"""Held-out losses of all domains on the same sequences each time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from lightning.fabric.utilities import move_data_to_device
from lightning.pytorch import Trainer

from mixer.evaluation import EvaluationLoader
from policies import Array, Signal
from policies.neyman import neyman
from policies.signals import ValidationLoss
from trainer.data import CorpusDataModule
from trainer.held_out import HeldOut, LossSums
from trainer.module import LanguageModel
from trainer.probes.probe import FORWARD, Probe, losses_without_gradient

Share: TypeAlias = Literal["equal", "neyman"]

# Nothing is drawn with it but which held-out windows are used: the same in every run.
_SEED = 0
# Fewer sequences of a domain have no standard error.
_FEWEST = 2


class ValidationLossProbe(Probe):
    """The loss of the network on fixed sequences of the validation split.

    They are the same each time, so that two measurements differ by what the network learnt and not
    by what was drawn (common random numbers).

    Args:
        sequences: Held-out sequences per domain, on average over domains.
        share: "equal" for as many of each domain; "neyman" for more of those whose losses vary
            more, settled once after the first measurement, which is equal.

    Raises:
        ValueError: A setting is out of range.
    """

    signal = Signal.VALIDATION_LOSS

    def __init__(self, sequences: int = 16, share: Share = "equal") -> None:
        super().__init__()
        if sequences < _FEWEST:
            raise ValueError(
                f"signals.validation_sequences must be at least {_FEWEST}, got {sequences}"
            )
        if share not in get_args(Share):
            raise ValueError(f"signals.validation_share must be 'equal' or 'neyman', got {share!r}")
        self._sequences, self._share = sequences, share
        self._counts: list[int] = []

    def setup(self, trainer: Trainer, module: LanguageModel, data: CorpusDataModule) -> None:
        self._trainer, self._module, self._data = trainer, module, data
        if not self._counts:
            self._counts = [self._sequences] * len(data.names)
        self._loader = self._open()

    def answer(self) -> ValidationLoss:
        sums = LossSums(len(self._data.names), self._module.device)
        for batch in self._loader:
            there = move_data_to_device(batch, self._module.device)
            sums.add(*losses_without_gradient(self._module, there), there.domain)
        found = sums.result(self._trainer, self._data.sequence_length)
        self.tokens += FORWARD * sum(self._loader.counts) * self._data.sequence_length
        if self._share == "neyman" and len(set(self._counts)) == 1:
            self._settle(found)
        return ValidationLoss(found.loss, found.bits_per_byte, found.standard_error)

    def state_dict(self) -> dict[str, Any]:
        return {"counts": self._counts}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._counts = list(state["counts"])

    def _open(self) -> EvaluationLoader:
        length, ranks = self._data.sequence_length, self._trainer.world_size
        return EvaluationLoader(
            self._data.corpus.streams("validation", sequence_length=length, seed=_SEED),
            sequences_per_domain=self._counts,
            batch_size=max(1, self._data.batch_size // ranks),
            rank=self._trainer.global_rank,
            num_ranks=ranks,
        )

    def _settle(self, found: HeldOut) -> None:
        """Share the sequences out by how much the losses of each domain vary."""
        deviation: Array = found.standard_error * np.sqrt(found.sequences)
        deviation = np.where(np.isfinite(deviation), deviation, 0.0)
        wanted = neyman(deviation) * sum(self._counts)
        self._counts = [max(_FEWEST, round(count)) for count in wanted.tolist()]
        self._loader = self._open()
