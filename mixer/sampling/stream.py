"""A domain's stream in which documents come as often as a sampling function says."""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixer.permutation import EpochPermutation, Indices, epoch_words, key_of
from mixer.sampling.layout import EpochLayout
from mixer.streams import Windows, sequences_per_epoch

# Layouts of the epochs that a batch may be read from at the same time.
_KEPT_LAYOUTS = 4


class SampledStream:
    """Windows over the epochs of a domain whose documents are read at given rates.

    After e epochs document d has been in ``floor(e * rate_d + u_d)`` of them, where ``u_d`` is a
    number in [0, 1) that depends on the seed, the domain's name and d alone: within one of
    ``e * rate_d`` at any time. An epoch's tokens are its copies laid end to end; its windows come
    in a pseudo-random order, as in `mixer.streams.DomainStream`, and the tokens that fill no whole
    window are left out. Epochs differ in length. The position in the stream is all its state.

    Args:
        name: The domain, whose order depends on no other domain.
        tokens: Token ids of the shard, shape (num_tokens,).
        bounds: Where documents begin and end in it, shape (n + 1,).
        rates: How often an epoch holds each document, at least 0, shape (n,).
        sequence_length: Tokens to predict per sequence.
        seed: Seed of the order.

    Attributes:
        num_sequences: How many sequences an epoch gives on average.
        digest: Tells these rates from others.

    Raises:
        ValueError: A rate is negative or not finite, or an epoch is shorter than a sequence.
    """

    def __init__(
        self,
        name: str,
        tokens: NDArray[Any],
        bounds: Indices,
        rates: NDArray[np.float64],
        *,
        sequence_length: int,
        seed: int,
    ) -> None:
        if rates.shape != (len(bounds) - 1,) or not np.isfinite(rates).all() or (rates < 0).any():
            raise ValueError(
                f"sampling rates of domain {name!r} must be {len(bounds) - 1} numbers of at least 0"
            )
        self.name = name
        self.tokens = tokens
        self.sequence_length = sequence_length
        self._bounds, self._lengths, self._rates = bounds, np.diff(bounds), rates
        self.num_sequences = sequences_per_epoch(
            name, int(float(rates @ self._lengths)), sequence_length
        )
        self.digest = hashlib.blake2b(rates.tobytes(), digest_size=8).hexdigest()
        words = epoch_words(key_of(seed, "documents", name), np.arange(len(rates)))
        self._phase = (words >> np.uint64(11)).astype(np.float64) * 2.0**-53
        self._order_key = key_of(seed, "order", name)
        self._shift_key = key_of(seed, "shift", name)
        # Tokens of each epoch looked at so far, and the draws before it.
        self._epoch_tokens: list[int] = []
        self._begins = [0]
        self.layout = lru_cache(maxsize=_KEPT_LAYOUTS)(self._make_layout)

    def copies(self, epoch: int) -> Indices:
        """How often an epoch holds each document, shape (n,)."""
        before, after = ((epochs * self._rates + self._phase) for epochs in (epoch, epoch + 1))
        copies: Indices = (np.floor(after) - np.floor(before)).astype(np.int64)
        return copies

    def _make_layout(self, epoch: int) -> EpochLayout:
        return EpochLayout(self._bounds, self.copies(epoch))

    def windows(self, draws: Indices) -> Windows:
        """Where these draws lie; draw n is the n-th sequence ever taken, counted from 0.

        ``start`` is a position in the epoch, not in the shard.
        """
        self._look_ahead(int(draws.max(initial=0)))
        epoch = np.searchsorted(np.array(self._begins), draws, side="right") - 1
        window, start = np.empty_like(draws), np.empty_like(draws)
        for number in np.unique(epoch).tolist():
            rows = np.flatnonzero(epoch == number)
            window[rows] = self._windows_of(number, draws[rows] - self._begins[number])
            start[rows] = self._shift(number) + window[rows] * self.sequence_length
        return Windows(epoch, window, start)

    def _look_ahead(self, draw: int) -> None:
        while self._begins[-1] <= draw:
            tokens = int(self.copies(len(self._epoch_tokens)) @ self._lengths)
            self._epoch_tokens.append(tokens)
            self._begins.append(self._begins[-1] + max(0, tokens - 1) // self.sequence_length)

    def _windows_of(self, epoch: int, position: Indices) -> Indices:
        order = EpochPermutation(self._begins[epoch + 1] - self._begins[epoch], self._order_key)
        return order(np.full_like(position, epoch), position)

    def _shift(self, epoch: int) -> int:
        windows = self._begins[epoch + 1] - self._begins[epoch]
        slack = self._epoch_tokens[epoch] - windows * self.sequence_length
        return int(epoch_words(self._shift_key, np.array([epoch]))[0] % np.uint64(slack))

    def read(self, epoch: NDArray[np.int32], start: Indices) -> NDArray[np.int64]:
        """Tokens of windows, shape (n, sequence_length + 1).

        Args:
            epoch: The epoch of each, shape (n,).
            start: Where it begins there, shape (n,).
        """
        tokens = np.empty((len(start), self.sequence_length + 1), dtype=np.int64)
        for number in np.unique(epoch).tolist():
            rows = np.flatnonzero(epoch == number)
            tokens[rows] = self.layout(number).gather(
                self.tokens, start[rows], self.sequence_length + 1
            )
        return tokens
