"""Which documents an epoch holds, and where their tokens lie in it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixer.permutation import Indices


class EpochLayout:
    """Copies of documents laid end to end: an epoch as one sequence of tokens, never written out.

    All documents that are read at all come first, in the shard's order, then those read a second
    time, and so on, so that copies of a document are far apart.

    Args:
        bounds: Where documents begin and end in the shard, in tokens, shape (n + 1,).
        copies: How often the epoch holds each, shape (n,).

    Attributes:
        num_tokens: Tokens of the epoch.
    """

    def __init__(self, bounds: Indices, copies: Indices) -> None:
        rounds = [np.flatnonzero(copies > passed) for passed in range(int(copies.max(initial=0)))]
        order = np.concatenate([np.empty(0, dtype=np.int64), *rounds])
        self._source = bounds[:-1][order]
        self._end = np.cumsum(bounds[1:][order] - self._source)
        self.num_tokens = int(self._end[-1]) if len(order) else 0

    def gather(self, tokens: NDArray[Any], start: Indices, width: int) -> NDArray[np.int64]:
        """Windows of the epoch, shape (n, width).

        Args:
            tokens: The shard's tokens.
            start: Where each window begins in the epoch, shape (n,).
            width: Its tokens; the whole window must lie in the epoch.
        """
        # A window is a row of pieces, each from one copy of a document.
        first = np.searchsorted(self._end, start, side="right")
        last = np.searchsorted(self._end, start + (width - 1), side="right")
        pieces = last - first + 1
        row = np.repeat(np.arange(len(start)), pieces)
        piece = np.arange(len(row)) - np.repeat(np.cumsum(pieces) - pieces, pieces)
        copy = first[row] + piece
        end = np.minimum(self._end[copy], start[row] + width)
        lengths = np.diff(np.concatenate([[0], end - start[row] + row * width]))
        # From a place in the epoch to the same place in the shard, the same for a whole piece.
        begin_of_copy = np.concatenate([[0], self._end])[copy]
        moved = self._source[copy] - begin_of_copy + start[row] - row * width
        place = np.repeat(moved, lengths) + np.arange(len(start) * width)
        gathered: NDArray[np.int64] = tokens[place].astype(np.int64).reshape(len(start), width)
        return gathered
