"""A domain's tokens as an endless stream of fixed-length windows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixer.permutation import EpochPermutation, Indices, epoch_words, key_of


class Windows(NamedTuple):
    """Where drawn sequences lie, one entry each.

    Attributes:
        epoch: How many times the domain had been read in full before, from 0.
        window: Which of the epoch's windows.
        start: Position of the window's first token in the shard.
    """

    epoch: Indices
    window: Indices
    start: Indices


def sequences_per_epoch(name: str, num_tokens: int, sequence_length: int) -> int:
    """How many sequences a domain of this many tokens gives before it begins again.

    Raises:
        ValueError: None.
    """
    if sequence_length < 1:
        raise ValueError(f"sequence_length must be at least 1, got {sequence_length}")
    if num_tokens < sequence_length + 1:
        raise ValueError(
            f"sequence_length {sequence_length} is too long for domain {name!r}, which has "
            f"{num_tokens} tokens (a sequence takes {sequence_length + 1}); choose a shorter "
            "one or leave the domain out"
        )
    return (num_tokens - 1) // sequence_length


class DomainStream:
    """Windows of ``sequence_length + 1`` tokens over one shard; an epoch holds each window once.

    Window i begins at token ``shift + i * sequence_length``, so that each token is predicted once
    per epoch. The tokens that fill no whole window are left out of an epoch; ``shift`` changes with
    the epoch, so that they are not the same ones every time. Order and shift are functions of the
    seed, the domain's name and the epoch, hence the position in the stream is all its state.

    Args:
        name: The domain, whose order depends on no other domain.
        tokens: Token ids, shape (num_tokens,).
        sequence_length: Tokens to predict per sequence.
        seed: Seed of the order.

    Raises:
        ValueError: The domain has fewer tokens than one sequence.
    """

    def __init__(self, name: str, tokens: NDArray[Any], sequence_length: int, seed: int) -> None:
        self.name = name
        self.tokens = tokens
        self.sequence_length = sequence_length
        self.num_sequences = sequences_per_epoch(name, len(tokens), sequence_length)
        self._slack = np.uint64(len(tokens) - self.num_sequences * sequence_length)
        self._order = EpochPermutation(self.num_sequences, key_of(seed, "order", name))
        self._shift_key = key_of(seed, "shift", name)

    def windows(self, draws: Indices) -> Windows:
        """Where these draws lie; draw n is the n-th sequence ever taken, counted from 0."""
        epoch, position = np.divmod(draws, self.num_sequences)
        window = self._order(epoch, position)
        shift = (epoch_words(self._shift_key, epoch) % self._slack).astype(np.int64)
        return Windows(epoch, window, shift + window * self.sequence_length)
