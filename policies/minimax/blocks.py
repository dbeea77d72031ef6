"""The randomised design: pairs of blocks that lean opposite ways and average to the mixture."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.shuffle import shuffled
from policies.signals import Array


def signs(ranks: NDArray[np.int64], seed: int, pair: int) -> Array:
    """Which groups a pair's first block favours (+1) and which it does not (-1), shape (g,).

    Rows of a Hadamard matrix whose columns are dealt to the groups at random: within a cycle of n
    pairs, n the next power of two above g, the sums of products of two groups' signs nearly vanish,
    so that no pair is spent on a contrast already known. Every cycle draws its own columns, order
    of rows and signs.

    Args:
        ranks: Alphabetical places of the groups, shape (g,).
        seed: Seed of the run.
        pair: Which pair, from 0.
    """
    return _signs(ranks.astype(np.int64).tobytes(), seed, pair)


@lru_cache(maxsize=8)  # A pair lasts for many steps.
def _signs(places: bytes, seed: int, pair: int) -> Array:
    ranks = np.frombuffer(places, dtype=np.int64)
    rows = 1 << len(ranks).bit_length()
    cycle, place = divmod(pair, rows - 1)
    column = np.argsort(shuffled(ranks, seed, cycle, 0))
    order = np.random.default_rng([seed, cycle, 1]).permutation(rows - 1) + 1
    flip = np.random.default_rng([seed, cycle, 2]).integers(0, 2, rows - 1)
    odd = np.bitwise_count((column + 1) & order[place]) + flip[place]
    sign: Array = 1.0 - 2.0 * (odd % 2)
    sign.flags.writeable = False
    return sign


def leaning(mixture: Array, sign: Array, strength: float) -> Array:
    """The mixture of a pair's first block, shape (g,); the second one's is that of ``-sign``.

    ``x = p (1 + strength (s - s . p) / max |s - s . p|)``: the two add up to ``2 p`` exactly and
    each sums to one. At strength one the group furthest off is left out.
    """
    direction = sign - float(sign @ mixture) / float(mixture.sum())
    extent = float(np.abs(direction).max())
    if extent < 1e-9:  # A single group, or all of them on one side.
        return mixture
    leaned: Array = mixture * (1 + strength * direction / extent)
    return leaned


class Place(NamedTuple):
    """Where a step lies: its pair of blocks, from 0, and 0 or 1 for the block in the pair.

    Attributes:
        pair: The pair, from 0; -1 outside of pairs.
        half: Which block of it.
        begins: Whether the step is the first of its block.
        ends: Whether losses are to be measured after it.
    """

    pair: int
    half: int
    begins: bool
    ends: bool


class Schedule(NamedTuple):
    """Pairs of blocks after one step that the first block's losses are measured after.

    Attributes:
        block_steps: Steps of a block.
        pairs: Pairs that fit into the run.
    """

    block_steps: int
    pairs: int

    def place(self, step: int) -> Place:
        """Where a step lies."""
        block, offset = divmod(step - 1, self.block_steps)
        pair, half = divmod(block, 2)
        if step == 0 or pair >= self.pairs:
            return Place(-1, 0, False, step == 0)
        return Place(pair, half, offset == 0, offset == self.block_steps - 1)
