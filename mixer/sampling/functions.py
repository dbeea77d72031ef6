"""Sampling functions: from scores of documents to how often an epoch holds each."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias, final

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

MOST_COPIES = 100.0


@dataclass(frozen=True, kw_only=True)
class SamplingFunction(ABC):
    """Says how often each document of a domain is read in an epoch."""

    @property
    @abstractmethod
    def needs(self) -> tuple[str, ...]:
        """Names of the scores it reads."""

    @abstractmethod
    def rates(self, scores: Mapping[str, Array], tokens: Array) -> Array:
        """Readings of each document per epoch, at least 0, shape (n,).

        Args:
            scores: What it needs, by name, each of shape (n,); NaN where a document has none.
            tokens: Lengths of the documents in tokens, shape (n,).

        Raises:
            ValueError: A score that is needed is missing.
        """


@final
@dataclass(frozen=True, kw_only=True)
class Sigmoid(SamplingFunction):
    """Reads documents by the rank of their merged quality, best first.

    With r the share of the domain's tokens in better documents, from 0 for the best,

        rate(r) = (2 / (1 + exp(-steepness * (cutoff - r)))) ** power + floor   where r <= cutoff
        rate(r) = floor                                                          beyond

    so that the best documents come up to ``2 ** power + floor`` times, those at the cut-off once.

    Source: QuaDMix (Liu et al. 2025, arXiv:2504.16511), whose lambda, omega, eta and epsilon these
    are; scores are merged as a weighted sum of each score's own rank.

    Args:
        scores: The scores to merge and their weights, positive; higher scores are better.
        steepness: How sharply the rate falls towards the cut-off, positive.
        cutoff: Share of the domain's tokens that is read beyond the floor, in (0, 1].
        power: Exponent, at least 0.
        floor: Rate of all documents beyond the cut-off, at least 0.
    """

    scores: Mapping[str, float]
    steepness: float = 100.0
    cutoff: float = 0.5
    power: float = 1.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        if not self.scores or min(self.scores.values()) <= 0:
            raise ValueError(f"scores must have positive weights, got {dict(self.scores)}")
        if not 0 < self.cutoff <= 1:
            raise ValueError(f"cutoff must be in (0, 1], got {self.cutoff}")
        if not (self.steepness > 0 and np.isfinite(self.steepness)):
            raise ValueError(f"steepness must be positive, got {self.steepness}")
        if not (self.power >= 0 and self.floor >= 0):
            raise ValueError(f"power and floor must be at least 0, got {self.power}, {self.floor}")
        if 2**self.power + self.floor > MOST_COPIES:
            raise ValueError(
                f"2 ** power + floor must be at most {MOST_COPIES:g} readings per epoch, got "
                f"{2**self.power + self.floor:g}"
            )

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(self.scores)

    def rates(self, scores: Mapping[str, Array], tokens: Array) -> Array:
        merged = np.zeros(len(tokens))
        for name, weight in self.scores.items():
            _all_there(name, scores[name])
            merged += weight * token_rank(scores[name], tokens)
        rank = token_rank(-merged, tokens)
        within = (2 / (1 + np.exp(-self.steepness * (self.cutoff - rank)))) ** self.power
        return np.where(rank <= self.cutoff, within, 0.0) + self.floor


@final
@dataclass(frozen=True, kw_only=True)
class Rehydration(SamplingFunction):
    """Reads documents that had many near-duplicates more often, as far as their like is good.

    Documents are grouped by the size of the cluster of near-duplicates each was kept from. A group
    of which filters removed a larger part than of all documents comes once; the group with the
    smallest part ``most`` times, in between linearly:

        rate = 1 + (most - 1) * (all - removed) / (all - smallest)

    Source: FineWeb2 (Penedo et al. 2025), "rehydration". The published runs smooth over five
    neighbouring sizes and round; here rates stay fractions, for streams obey those.

    Args:
        cluster_size: Name of the score that holds the size of a document's cluster, by default that
            which `glotmix prepare --pipeline` writes.
        removed: Name of the score that holds the part of the group that filters removed, 0 to 1.
        most: Rate of the best group, at least 1.
    """

    cluster_size: str = "minhash_cluster_size"
    removed: str = "removed"
    most: float = 10.0

    def __post_init__(self) -> None:
        if not 1 <= self.most <= MOST_COPIES:
            raise ValueError(f"most must be from 1 to {MOST_COPIES:g}, got {self.most}")

    @property
    def needs(self) -> tuple[str, ...]:
        return (self.cluster_size, self.removed)

    def rates(self, scores: Mapping[str, Array], tokens: Array) -> Array:
        size, removed = scores[self.cluster_size], scores[self.removed]
        for name in self.needs:
            _all_there(name, scores[name])
        if size.min(initial=1) < 1 or removed.min(initial=0) < 0 or removed.max(initial=0) > 1:
            raise ValueError(
                f"{self.cluster_size} must be at least 1 and {self.removed} from 0 to 1, got from "
                f"{size.min()} and from {removed.min()} to {removed.max()}"
            )
        # A document stands for its whole cluster.
        overall = float(np.average(removed, weights=size))
        best = float(removed.min(initial=overall))
        if best >= overall:
            return np.ones(len(tokens))
        lift = (overall - removed) / (overall - best)
        return 1 + (self.most - 1) * np.clip(lift, 0.0, 1.0)


def token_rank(scores: Array, tokens: Array) -> Array:
    """Share of all tokens in documents with a lower score, from 0 to 1, shape (n,).

    Of documents with the same score the earlier one counts as lower, so that ties do not all fall
    on one side of a cut-off.
    """
    order = np.argsort(scores, kind="stable")
    before = np.cumsum(tokens[order]) - tokens[order]
    rank = np.empty(len(scores))
    rank[order] = before / max(float(tokens.sum()), 1.0)
    return rank


def _all_there(name: str, scores: Array) -> None:
    if missing := int(np.isnan(scores).sum()):
        raise ValueError(
            f"{missing} of {len(scores)} documents have no score {name!r}; score them, or sample "
            "without it"
        )
