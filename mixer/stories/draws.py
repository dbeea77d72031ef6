"""Random draws that are the same for the same seed on every Python version.

Of :mod:`random`, Python promises to keep only the stream of ``random()`` and the way a string
becomes a seed; ``choice``, ``shuffle`` and ``sample`` may change. So they are built here, from
``random()`` alone.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draws:
    """A stream of draws that depends on the seed and the names, and on nothing else.

    Args:
        seed: The user's seed.
        *names: What the draws are for; other names give unrelated streams.
    """

    def __init__(self, seed: int, *names: str) -> None:
        self._random = random.Random("\0".join([str(seed), *names])).random

    def below(self, bound: int) -> int:
        """A whole number from 0 to ``bound - 1``."""
        return int(self._random() * bound)

    def chance(self, probability: float) -> bool:
        """True with this probability."""
        return self._random() < probability

    def pick(self, items: Sequence[T]) -> T:
        """One of the items."""
        return items[self.below(len(items))]

    def shuffled(self, items: Sequence[T]) -> list[T]:
        """The items in a random order (Fisher and Yates)."""
        order = list(items)
        for last in range(len(order) - 1, 0, -1):
            other = self.below(last + 1)
            order[last], order[other] = order[other], order[last]
        return order
