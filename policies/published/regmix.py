"""RegMix: a mixture from finished runs, by a regression on trees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from policies.policy import Task
from policies.results import metric_weights, read_results, require_runs
from policies.shuffle import name_ranks
from policies.signals import Array
from policies.static import Static
from policies.surrogate import fit_trees

# A Dirichlet distribution needs positive parameters; so small a one draws zeros.
SMALLEST_PARAMETER = 1e-12
BLOCK = 4096  # Mixtures drawn and judged at a time: 2,000 domains must fit in memory.


@final
@dataclass(frozen=True, kw_only=True)
class RegMix(Static):
    """RegMix (2024, arXiv 2407.01492): regress losses on mixtures, then search by simulation.

    For every loss gradient-boosted trees are fitted to the finished runs (1,000 trees at learning
    rate 0.01). Then ``samples`` mixtures are drawn from Dirichlet(strength prior), and the mean
    of the ``keep`` with the least predicted loss is the mixture of every step. The released code
    stops adding trees when the error on held-out runs has not fallen for three; here none are held
    out and all are used.

    Trees cannot predict a loss below those seen, so the search interpolates, and they want many
    runs: hundreds in the paper, k + 1 being the fewest accepted. Repetition is not seen at all:
    small runs must repeat their text as often as this one will, or they mislead. Draws follow the
    names of the domains and the seed of the run. Computed once, before the first step, in a minute
    or less. Needs the extra ``regression``.

    Args:
        results: Path of the finished runs: a ``.csv`` with columns ``weight:<domain>`` and
            ``loss:<metric>``, or a ``.json``, a list of ``{"weights": {..}, "losses": {..}}``.
        metrics: How much each loss counts, by its name. By default losses named after domains
            count as the task's target does, and others equally.
        samples: Mixtures drawn.
        keep: How many of them are averaged.
        strength: Of the Dirichlet distribution; the larger, the closer its draws to the prior.
        trees: Number of trees.
        rate: Their learning rate.
    """

    results: str
    metrics: dict[str, float] | None = None
    samples: int = 100_000
    keep: int = 128
    strength: float = 1.0
    trees: int = 1000
    rate: float = 0.01

    def __post_init__(self) -> None:
        for name in ("samples", "keep", "trees"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.keep > self.samples:
            raise ValueError(f"keep must be at most samples ({self.samples}), got {self.keep}")
        if not 0 < self.strength <= 1e9:
            raise ValueError(f"strength must be in (0, 1e9], got {self.strength}")
        if not 0 < self.rate <= 1:
            raise ValueError(f"rate must be in (0, 1], got {self.rate}")

    def mixture(self, task: Task) -> Array:
        # In the order of their names, so that their order in the corpus does not matter.
        order = np.argsort(name_ranks(task.names))
        names = [task.names[domain] for domain in order]
        runs = read_results(self.results, names)
        require_runs(runs, task.num_domains + 1)
        counts = metric_weights(self.metrics, runs.metrics, names, task.target[order])
        settings = {"seed": task.seed, "trees": self.trees}
        fits = [
            (count, fit_trees(runs.mixtures, loss, rate=self.rate, **settings))
            for count, loss in zip(counts, runs.losses.T, strict=True)
            if count > 0
        ]
        best, best_loss = np.empty((0, len(order))), np.empty(0)
        generator = np.random.default_rng(task.seed)
        for start in range(0, self.samples, BLOCK):
            drawn = self._draw(task.prior[order], min(BLOCK, self.samples - start), generator)
            drawn_loss = sum(
                (count * predict(drawn) for count, predict in fits), np.zeros(len(drawn))
            )
            both, losses = np.vstack([best, drawn]), np.concatenate([best_loss, drawn_loss])
            kept = np.argsort(losses, kind="stable")[: self.keep]
            best, best_loss = both[kept], losses[kept]
        weights = np.empty(task.num_domains)
        weights[order] = best.mean(axis=0)
        return weights / float(weights.sum())

    def _draw(self, prior: Array, number: int, generator: np.random.Generator) -> Array:
        """Random mixtures around the prior, shape (number, k)."""
        parameters = np.maximum(self.strength * prior, SMALLEST_PARAMETER)
        parts = generator.standard_gamma(parameters, (number, len(prior)))
        parts = np.where(prior > 0, parts, 0.0)
        total = parts.sum(axis=1, keepdims=True)
        mixtures: Array = np.where(total > 0, parts / np.where(total > 0, total, 1.0), prior)
        return mixtures
