"""Random orders of domains that follow the domains' names, not their places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def name_ranks(names: Sequence[str]) -> NDArray[np.int64]:
    """The place of each domain in the alphabetical order, shape (k,)."""
    return np.argsort(np.argsort(np.array(names), kind="stable"), kind="stable")


def shuffled(ranks: NDArray[np.int64], *seed: int) -> NDArray[np.int64]:
    """The domains in a random order, shape (k,).

    Listed in another order the domains come out in the same sequence of names: that is what keeps
    a policy with random choices indifferent to the order of its domains.

    Args:
        ranks: What `name_ranks` gave, shape (k,).
        seed: Non-negative numbers, such as the seed of the run and the step.
    """
    order = np.random.default_rng(seed).permutation(len(ranks))
    return np.argsort(order[ranks], kind="stable")
