"""The same held-out sequences at every evaluation, shared out evenly over ranks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from mixer.batch import Batch
from mixer.gather import WindowGather
from mixer.permutation import Indices
from mixer.streams import DomainStream

PADDING = -1
"""The domain of rows that only fill up a batch; nothing may be counted for them."""


class EvaluationLoader:
    """Yields fixed windows of every domain as batches, in the same number on every rank.

    Args:
        streams: One stream per domain over a held-out split. Their seed decides which windows.
        sequences_per_domain: At most this many windows of each domain, one number for all or one
            for each; all of them if None. Fewer are the first of more.
        batch_size: Sequences per batch and rank.
        rank: This process.
        num_ranks: Processes that share the work.

    Raises:
        ValueError: A number is below one.
    """

    def __init__(
        self,
        streams: Sequence[DomainStream],
        *,
        sequences_per_domain: int | Sequence[int] | None,
        batch_size: int,
        rank: int = 0,
        num_ranks: int = 1,
    ) -> None:
        available = [stream.num_sequences for stream in streams]
        if sequences_per_domain is None:
            wanted: Sequence[int] = available
        elif isinstance(sequences_per_domain, int):
            wanted = [sequences_per_domain] * len(streams)
        else:
            wanted = sequences_per_domain
        if min(wanted) < 1:
            raise ValueError(f"sequences_per_domain must be at least 1, got {sequences_per_domain}")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, got {batch_size}")
        self._batch_size, self._rank, self._num_ranks = batch_size, rank, num_ranks
        self.counts = [min(pair) for pair in zip(available, wanted, strict=True)]
        self._gather = WindowGather(
            [stream.tokens for stream in streams], streams[0].sequence_length + 1
        )
        windows = [
            stream.windows(np.arange(count))
            for stream, count in zip(streams, self.counts, strict=True)
        ]
        self._domain = np.repeat(np.arange(len(streams)), self.counts)
        self._start = np.concatenate([window.start for window in windows])
        self._window = np.concatenate([window.window for window in windows])

    def __len__(self) -> int:
        return -(-len(self._domain) // (self._batch_size * self._num_ranks))

    def __iter__(self) -> Iterator[Batch]:
        for number in range(len(self)):
            first = (number * self._num_ranks + self._rank) * self._batch_size
            yield self._batch(np.arange(first, first + self._batch_size))

    def _batch(self, rows: Indices) -> Batch:
        real = rows < len(self._domain)
        # Padding repeats the last window: every rank then runs the same number of batches, which
        # collectives inside the model need.
        rows = np.minimum(rows, len(self._domain) - 1)
        domain, start = self._domain[rows], self._start[rows]
        return Batch(
            tokens=torch.from_numpy(self._gather.read(domain, start)),
            domain=torch.from_numpy(np.where(real, domain, PADDING)),
            epoch=torch.zeros(len(rows), dtype=torch.int32),
            window=torch.from_numpy(self._window[rows]),
        )
