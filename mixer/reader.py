"""From draws to batches: where each sequence lies, and its tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from mixer.batch import Batch
from mixer.gather import WindowGather
from mixer.permutation import Indices
from mixer.resampling import Counts
from mixer.sampling.stream import SampledStream
from mixer.streams import DomainStream

Epochs: TypeAlias = NDArray[np.int32]

# Draws whose windows are computed at once: enough to spread numpy's cost per call, few enough that
# thousands of domains stay small.
_LARGEST_BLOCK, _SMALLEST_BLOCK, _ALL_BLOCKS = 2048, 256, 2**19


class WindowReader:
    """Turns (domain, draw) pairs into batches; windows are computed a block of draws at a time.

    Args:
        streams: One stream per domain, all of the same sequence length.
        batch_size: Most sequences that one step draws, over all domains.
    """

    def __init__(self, streams: Sequence[DomainStream | SampledStream], batch_size: int) -> None:
        self._streams = streams
        self._gather = WindowGather(
            [stream.tokens for stream in streams], streams[0].sequence_length + 1
        )
        self._sampled = {
            domain: stream
            for domain, stream in enumerate(streams)
            if isinstance(stream, SampledStream)
        }
        # A ring of two blocks per domain: a batch that begins in one may end in the next.
        block = max(_SMALLEST_BLOCK, min(_LARGEST_BLOCK, _ALL_BLOCKS // len(streams)), batch_size)
        self._block = 1 << (block - 1).bit_length()
        self._ring = 2 * self._block
        self._start = np.empty(len(streams) * self._ring, dtype=np.int64)
        self._window = np.empty_like(self._start)
        self._epoch = np.empty_like(self._start, np.int32)
        self.seek(np.zeros(len(streams), dtype=np.int64))

    def seek(self, drawn: Counts) -> None:
        """Make ready to read from these draws on, shape (k,)."""
        self._computed = drawn // self._block * self._block

    def prepare(self, needed: Counts) -> None:
        """Compute the windows of all draws below ``needed``, shape (k,)."""
        for domain in (self._computed < needed).nonzero()[0].tolist():
            self._compute_block(domain)

    def _compute_block(self, domain: int) -> None:
        first = int(self._computed[domain])
        windows = self._streams[domain].windows(np.arange(first, first + self._block))
        at = domain * self._ring + first % self._ring
        place = slice(at, at + self._block)
        self._start[place], self._window[place] = windows.start, windows.window
        self._epoch[place] = windows.epoch
        self._computed[domain] += self._block

    def read(self, domain: Indices, draw: Indices) -> Batch:
        """The sequences of these draws of these domains, both of shape (n,), prepared before."""
        at = domain * self._ring + (draw & (self._ring - 1))
        start, epoch = self._start.take(at), self._epoch.take(at)
        read = self._read_apart if self._sampled else self._gather_all
        return Batch(
            tokens=torch.from_numpy(read(domain, epoch, start)),
            domain=torch.from_numpy(domain),
            epoch=torch.from_numpy(epoch),
            window=torch.from_numpy(self._window.take(at)),
        )

    def _gather_all(self, domain: Indices, epoch: Epochs, start: Indices) -> NDArray[np.int64]:
        return self._gather.read(domain, start)

    def _read_apart(self, domain: Indices, epoch: Epochs, start: Indices) -> NDArray[np.int64]:
        """Windows of sampled domains lie in pieces; only those of the others are one piece each."""
        tokens = np.empty((len(domain), self._streams[0].sequence_length + 1), dtype=np.int64)
        plain = np.ones(len(domain), dtype=bool)
        for number, stream in self._sampled.items():
            rows = np.flatnonzero(domain == number)
            plain[rows] = False
            tokens[rows] = stream.read(epoch[rows], start[rows])
        tokens[plain] = self._gather.read(domain[plain], start[plain])
        return tokens
