"""A pseudo-random permutation of 0..n-1 that is computed, not stored.

A Feistel network over pairs (left, right) of a grid of ``rows * columns >= n`` cells: each round
adds a keyed hash of one half to the other, which can be undone and therefore is a bijection of the
grid. Cells outside 0..n-1 are walked on until they fall inside ("cycle walking", Black and Rogaway
2002), which keeps it a bijection of 0..n-1. The grid is the smallest near-square one, so that
walking is rare.
"""

from __future__ import annotations

import hashlib
import math
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Indices: TypeAlias = NDArray[np.int64]
Words: TypeAlias = NDArray[np.uint64]

ROUNDS = 6
LARGEST_SIZE = 2**60
_HALF = np.uint64(32)
_GOLDEN = 0x9E3779B97F4A7C15
_ROUND_KEYS = [np.uint64((number * _GOLDEN) % 2**64) for number in range(ROUNDS)]


def mix(words: Words) -> Words:
    """The finaliser of splitmix64 (Steele, Lea and Flood 2014): 64 bits in, 64 scrambled out."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def key_of(seed: int, *names: str) -> int:
    """A 64-bit key from a seed and names; stable across machines and Python versions."""
    text = "\0".join([str(seed), *names]).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=8).digest(), "little")


def epoch_words(key: int, epoch: Indices) -> Words:
    """64 bits that depend on a key and an epoch, one word for each epoch given."""
    start = np.array([key], dtype=np.uint64)
    return mix(start + (epoch.astype(np.uint64) + np.uint64(1)) * np.uint64(_GOLDEN))


class EpochPermutation:
    """One permutation of 0..size-1 per epoch, all from one key.

    Args:
        size: Number of items, from 1 to 2**60.
        key: 64-bit key; other keys give unrelated orders.
    """

    def __init__(self, size: int, key: int) -> None:
        if not 1 <= size <= LARGEST_SIZE:
            raise ValueError(f"a permutation holds 1 to {LARGEST_SIZE} items, got {size}")
        self.size = size
        self._key = key
        # With a single row or column the rounds could only rotate; two of each reach every order.
        rows = max(2, math.isqrt(size))
        self._rows = np.uint64(rows)
        self._columns = np.uint64(max(2, -(-size // rows)))

    def __call__(self, epoch: Indices, position: Indices) -> Indices:
        """The items at these positions of these epochs, elementwise over 1-d arrays."""
        if self.size == 1:
            return np.zeros_like(position)
        epoch_key = epoch_words(self._key, epoch)
        item = self._rounds(position.astype(np.uint64), epoch_key)
        outside = item >= np.uint64(self.size)
        while outside.any():
            item[outside] = self._rounds(item[outside], epoch_key[outside])
            outside = item >= np.uint64(self.size)
        return item.astype(np.int64)

    def _rounds(self, cell: Words, epoch_key: Words) -> Words:
        left, right = cell // self._columns, cell % self._columns
        for number, round_key in enumerate(_ROUND_KEYS):
            if number % 2:
                right = _shift(right, mix(left ^ (epoch_key + round_key)), self._columns)
            else:
                left = _shift(left, mix(right ^ (epoch_key + round_key)), self._rows)
        return left * self._columns + right


def _shift(half: Words, word: Words, modulus: np.uint64) -> Words:
    """Add a hash word, scaled to below ``modulus``, modulo ``modulus``; no division."""
    moved = half + (((word >> _HALF) * modulus) >> _HALF)
    moved -= modulus * (moved >= modulus)
    return moved
