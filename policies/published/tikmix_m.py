"""TiKMiX-M: the mixture of the greatest group influence, by a regression and random search."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.random import Generator

from policies.published.tikmix import TiKMiX
from policies.published.tikmix_d import objective
from policies.signals import Array
from policies.surrogate import fit_trees

# A Dirichlet distribution needs positive parameters; so small a one draws zeros.
SMALLEST_PARAMETER = 1e-12


@final
@dataclass(frozen=True, kw_only=True)
class TiKMiXM(TiKMiX):
    """TiKMiX-M (2025, arXiv 2508.17677): search around the prior with a regression as the guide.

    Once per stage: candidate mixtures are drawn by Latin hypercube from the box
    ``prior_j (1 - box) .. prior_j (1 + box)`` and scored by the influence objective of `TiKMiXD`;
    gradient-boosted trees are fitted to the scores; then, ``rounds`` times, mixtures are drawn from
    Dirichlet(alpha_t w_best), and w_best becomes the mean of the best ``keep`` of them by the
    trees' prediction, while alpha_t doubles so that the search narrows.

    A candidate that leaves the box when it is scaled to the simplex is pulled back towards the
    prior; the paper rejects it, which leaves none at hundreds of domains. The size of the box, the
    numbers of samples and the schedule of alpha_t are not stated there and are choices made here.
    The objective is cheap and convex, so the trees learn what is known exactly: `TiKMiXD` finds a
    better value of it in less time, and keeps every domain from harm, which this search does not.

    Draws follow the names of the domains, not their places. Cost: the measurements of `TiKMiXD`,
    and about a second per stage. Needs the extra ``regression``.

    Args:
        balance: a, strength of the spread of the influences.
        gain: b, strength of their sum.
        entropy: g, strength of the pull to the uniform mixture.
        update_every: Steps of a stage; a fifth of the run if not given, as published.
        average_over: Measurements averaged in an influence: the steps before a change at which
            gradients are measured. Older ones fade at the rate 1 / average_over.
        box: Half the width of the box in units of the prior, in (0, 1].
        candidates: Mixtures that are scored.
        rounds: Narrowing rounds of the search.
        samples: Mixtures drawn in a round.
        keep: How many of them make up the next centre.
        concentration: alpha_0, the larger the closer the first round stays to its centre.
        trees: Number of trees.
    """

    box: float = 0.5
    candidates: int = 512
    rounds: int = 5
    samples: int = 1024
    keep: int = 32
    concentration: float = 50.0
    trees: int = 200

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.box <= 1:
            raise ValueError(f"box must be in (0, 1], got {self.box}")
        for name in ("candidates", "rounds", "samples", "keep", "trees"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.keep > self.samples:
            raise ValueError(f"keep must be at most samples ({self.samples}), got {self.keep}")
        if not 0 < self.concentration <= 1e6:
            raise ValueError(f"concentration must be in (0, 1e6], got {self.concentration}")

    def _mixture(self, rows: Array, prior: Array, seed: tuple[int, int]) -> Array | None:
        generator = np.random.default_rng(seed)
        mixtures = in_the_box(prior, self.box, self.candidates, generator)
        scores = objective(mixtures, rows, self.balance, self.gain, self.entropy)
        predict = fit_trees(mixtures, scores, seed=seed[1], trees=self.trees, rate=0.05)
        best = mixtures[np.argsort(scores, kind="stable")[: self.keep]].mean(axis=0)
        for narrowing in range(self.rounds):
            parameters = self.concentration * 2.0**narrowing * best
            drawn = generator.dirichlet(np.maximum(parameters, SMALLEST_PARAMETER), self.samples)
            order = np.argsort(predict(drawn), kind="stable")
            best = drawn[order[: self.keep]].mean(axis=0)
        best = np.where(prior > 0, best, 0.0)
        weights: Array = best / float(best.sum())
        return weights


def in_the_box(prior: Array, box: float, number: int, generator: Generator) -> Array:
    """Mixtures that differ from the prior by at most ``box`` times it, shape (number, k)."""
    cells = generator.permuted(np.tile(np.arange(number), (len(prior), 1)), axis=1).T
    places = (cells + generator.random(cells.shape)) / number
    mixtures = prior * (1 + box * (2 * places - 1))
    mixtures /= np.maximum(mixtures.sum(axis=1, keepdims=True), np.finfo(np.float64).tiny)
    away = np.abs(mixtures - prior)
    ratio = np.where(prior > 0, away / np.where(prior > 0, prior, 1.0), 0.0).max(axis=1)
    part = box / np.maximum(ratio, box)
    inside: Array = prior + part[:, None] * (mixtures - prior)
    return inside
