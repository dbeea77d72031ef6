"""How much better the network knows training text for having read it before."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Trainer
from torch import Tensor

from mixer.batch import Batch
from policies import Array, Signal
from policies.feedback import LN2, ratio
from policies.signals import MemorisationGap
from trainer.data import CorpusDataModule
from trainer.held_out import held_out
from trainer.module import LanguageModel
from trainer.probes.probe import FORWARD, Probe, losses_without_gradient, sum_over_ranks
from trainer.probes.validation import ValidationLossProbe

# What is summed over sequences: one, nats saved, bytes, the squares and the product that a standard
# error needs, and how often the sequence's domain had been read before.
_COLUMNS = 7


class MemorisationProbe(Probe):
    """Held-out minus training loss of windows read before, less the same of windows never read.

    With v the held-out nats per byte of a domain, a training sequence of b bytes and loss l saves
    ``v b - l`` nats. Both losses are those at the weights the batch meets, so that no window has
    been learnt from in this reading. Per byte, over the last measurements of sequences from later
    readings, that is

        gap of the domain = held-out loss - training loss (read before),

    and over the last measurements of its first reading it is what the two splits differ by anyhow:
    they are different texts. That is subtracted. Its size is the one it had towards the end of the
    first reading; differences between texts shrink as losses do, so an early measurement subtracts
    too much.

    The standard error is over training sequences. The held-out ones are the same each time, so that
    what their choice adds to v cancels as far as they improve alike.

    It costs a forward pass over the batch, for a probe sees none of the losses of training, and one
    over the held-out sequences.

    Args:
        sequences: Held-out sequences per domain, on average over domains.
        window: The gap is that of so many measurements in which the domain occurred.

    Raises:
        ValueError: A setting is out of range.
    """

    signal = Signal.MEMORISATION_GAP

    def __init__(self, sequences: int = 16, window: int = 16) -> None:
        super().__init__()
        if window < 1:
            raise ValueError(f"window must be at least 1, got {window}")
        self._validation = ValidationLossProbe(sequences)
        self._window = window
        self._history: Array = np.zeros((0, 0, _COLUMNS))
        self._step = -1

    def setup(self, trainer: Trainer, module: LanguageModel, data: CorpusDataModule) -> None:
        self._trainer, self._module = trainer, module
        self._length = data.sequence_length
        self._validation.setup(trainer, module, data)
        self._num_domains = len(data.names)
        if not self._history.size:
            # Rows are domains in their first reading, then domains in later ones.
            self._history = np.zeros((self._window, 2 * self._num_domains, _COLUMNS))

    def see(self, batch: Batch) -> None:
        if self._step != self._trainer.global_step:
            self._begin()
        losses, size = losses_without_gradient(self._module, batch)
        self.tokens += FORWARD * losses.numel() * self._length * self._trainer.world_size
        domain = batch.domain
        saved = self._held_out[domain] * size - losses
        row = domain + self._num_domains * (batch.epoch > 0)
        self._sums.index_add_(0, row, columns(saved, size, batch.epoch).to(self._sums.dtype))

    def _begin(self) -> None:
        """Measure the held-out losses at the weights that all micro-batches of a step meet."""
        self._step = self._trainer.global_step
        bits = self._validation.answer().bits_per_byte
        self.tokens += self._validation.tokens
        self._validation.tokens = 0.0
        device = self._module.device
        dtype = torch.float32 if device.type == "mps" else torch.float64
        self._held_out = torch.tensor(bits * LN2, dtype=dtype, device=device)
        self._sums = torch.zeros((2 * self._num_domains, _COLUMNS), dtype=dtype, device=device)

    def answer(self) -> MemorisationGap:
        sums = sum_over_ranks(self._sums, self._trainer).cpu().double().numpy()
        self._history = push(self._history, sums)
        return gap(self._history.sum(axis=0), self._step, self._length)

    def state_dict(self) -> dict[str, Any]:
        return {"history": self._history.tolist()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._history = np.array(state["history"], dtype=np.float64)


def columns(saved: Tensor, size: Tensor, epoch: Tensor) -> Tensor:
    """What is summed of sequences, (B, 7); all zero where the nats saved are not finite.

    Args:
        saved: Held-out nats per byte times bytes, minus the sequence's loss, (B,).
        size: Bytes of text, (B,).
        epoch: How often the sequence's domain had been read before, (B,).
    """
    finite = saved.isfinite()
    nats, size = torch.where(finite, saved, 0.0), torch.where(finite, size, 0.0).to(saved.dtype)
    readings = torch.where(finite, epoch, 0).to(saved.dtype)
    squares = [nats * nats, nats * size, size * size]
    return torch.stack([finite.to(saved.dtype), nats, size, *squares, readings], dim=1)


def push(history: Array, sums: Array) -> Array:
    """The last measurements with a new one, (window, rows, 7).

    A row of which it holds no sequence keeps what it has, so that a domain's first reading stays
    known when it is over, and a rare domain's gap has as many sequences behind it as any.
    """
    shifted = np.concatenate([history[1:], sums[None]])
    return np.where(sums[:, :1] > 0, shifted, history)


def gap(sums: Array, step: int, sequence_length: int) -> MemorisationGap:
    """The gap from sums of sequences in first readings and then in later ones, (2 k, 7)."""
    saved = held_out(sums[:, : _COLUMNS - 1], step, sequence_length)
    (fresh, before), (fresh_error, before_error), (fresh_count, before_count) = (
        part.reshape(2, -1) for part in (saved.bits_per_byte, saved.standard_error, saved.sequences)
    )
    only_fresh = (before_count == 0) & (fresh_count > 0)
    readings = ratio(sums[:, -1], saved.sequences).reshape(2, -1)[1]
    return MemorisationGap(
        bits_per_byte=np.where(only_fresh, 0.0, before - fresh),
        standard_error=np.where(only_fresh, fresh_error, np.hypot(before_error, fresh_error)),
        readings=np.where(only_fresh, 0.0, readings),
    )
