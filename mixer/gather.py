"""Reading many short windows from many mapped files in one numpy operation."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixer.permutation import Indices


class WindowGather:
    """Gathers windows of equal width from several arrays of tokens.

    Slicing row by row costs more in Python than in memory. But all arrays lie in one address space,
    so that one array laid over all of it, from the lowest address to the highest, reaches each of
    them: its windows are taken by one indexing operation. What lies between the arrays is never
    touched, for only windows within an array are asked for.

    Args:
        arrays: Token ids, 1-d; usually all of one type, which is fastest.
        width: Tokens per window.
    """

    def __init__(self, arrays: Sequence[NDArray[Any]], width: int) -> None:
        self._arrays = [np.ascontiguousarray(array) for array in arrays]  # Keeps them alive.
        self._width = width
        kinds = [(array.dtype, _address(array) % array.itemsize) for array in self._arrays]
        distinct = list(dict.fromkeys(kinds))
        self._kind_of = np.array([distinct.index(kind) for kind in kinds])
        self._origin = np.zeros(len(arrays), dtype=np.int64)
        self._windows = [self._lay_over(number) for number in range(len(distinct))]

    def _lay_over(self, kind: int) -> NDArray[Any]:
        members = np.flatnonzero(self._kind_of == kind).tolist()
        arrays = [self._arrays[member] for member in members]
        addresses = np.array([_address(array) for array in arrays])
        lowest = int(addresses.min())
        highest = max(_address(array) + array.nbytes for array in arrays)
        span = (ctypes.c_char * (highest - lowest)).from_address(lowest)
        flat = np.frombuffer(memoryview(span), dtype=arrays[0].dtype)
        self._origin[members] = (addresses - lowest) // flat.itemsize
        windows: NDArray[Any] = np.lib.stride_tricks.sliding_window_view(flat, self._width)
        return windows

    def read(self, number: Indices, start: Indices) -> NDArray[np.int64]:
        """Windows as int64, shape (n, width).

        Args:
            number: Which array each window is of, shape (n,).
            start: Its first token there, shape (n,); the whole window must lie in the array.
        """
        place = self._origin.take(number) + start
        if len(self._windows) == 1:
            only: NDArray[np.int64] = self._windows[0][place].astype(np.int64)
            return only
        tokens = np.empty((len(place), self._width), dtype=np.int64)
        kind = self._kind_of.take(number)
        for which, windows in enumerate(self._windows):
            rows = np.flatnonzero(kind == which)
            tokens[rows] = windows[place[rows]]
        return tokens


def _address(array: NDArray[Any]) -> int:
    return int(array.__array_interface__["data"][0])
