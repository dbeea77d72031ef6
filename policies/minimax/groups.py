"""Which domains are perturbed together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.shuffle import name_ranks
from policies.signals import Array


class Groups(NamedTuple):
    """k domains in g groups that keep their inner proportions.

    Attributes:
        group: Group of each domain, shape (k,).
        within: Share of each domain in its group, shape (k,).
        prior: Share of each group under the prior, positive, shape (g,).
        ranks: An order of the groups that does not depend on that of the domains, shape (g,).
    """

    group: NDArray[np.int64]
    within: Array
    prior: Array
    ranks: NDArray[np.int64]

    def spread(self, shares: Array) -> Array:
        """Shares of domains from shares of groups, (g,) to (k,)."""
        spread: Array = shares[self.group] * self.within
        return spread

    def gather(self, values: Array) -> Array:
        """Sums over groups, (k,) to (g,)."""
        return np.bincount(self.group, values, len(self.prior)).astype(np.float64)


def make_groups(
    names: tuple[str, ...],
    unique_tokens: Array,
    prior: Array,
    families: Mapping[str, Sequence[str]] | None,
    largest: int,
) -> Groups:
    """Families, or single domains, or domains of like size.

    Args:
        names: The k domains.
        unique_tokens: Of each, shape (k,).
        prior: The mixture whose proportions stay within groups, shape (k,).
        families: Domain names by family; domains of no family form one more. Without families
            every domain is a group of its own as long as there are at most ``largest``; more are
            put together by the number of their unique tokens, in groups of as many domains.
        largest: Most groups that are made without families.

    Raises:
        ValueError: A family names an unknown domain, or a domain is in two.
    """
    if families is not None:
        labels = _by_family(names, families)
        ranks = name_ranks([*families, ""])
    elif len(names) <= largest:
        labels, ranks = np.arange(len(names)), name_ranks(names)
    else:
        order = np.lexsort((name_ranks(names), unique_tokens))
        labels = np.empty(len(names), dtype=np.int64)
        labels[order] = np.arange(len(names)) * largest // len(names)
        ranks = np.arange(largest)
    mass: Array = np.bincount(labels, prior, len(ranks)).astype(np.float64)
    kept = np.flatnonzero(mass > 0)  # Groups without a share have nothing to perturb.
    place = np.zeros(len(ranks), dtype=np.int64)
    place[kept] = np.arange(len(kept))
    group = place[labels]
    within = np.where(mass[labels] > 0, prior / np.maximum(mass[labels], 1e-300), 0.0)
    return Groups(group, within, mass[kept], np.argsort(np.argsort(ranks[kept])))


def _by_family(names: tuple[str, ...], families: Mapping[str, Sequence[str]]) -> NDArray[np.int64]:
    family_of: dict[str, int] = {}
    for number, (family, members) in enumerate(families.items()):
        for member in members:
            if member not in names:
                raise ValueError(
                    f"family {family!r} must name domains of the corpus, got {member!r}"
                )
            if member in family_of:
                raise ValueError(f"a domain must be in one family, {member!r} is in two")
            family_of[member] = number
    return np.array([family_of.get(name, len(families)) for name in names], dtype=np.int64)
