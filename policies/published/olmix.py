"""Olmix: a mixture from finished runs, by the log-linear law and a convex program."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from policies.log_linear import fit_log_linear, propose
from policies.policy import Task
from policies.results import metric_weights, read_results, require_runs
from policies.shuffle import name_ranks
from policies.signals import Array
from policies.static import Static


@final
@dataclass(frozen=True, kw_only=True)
class Olmix(Static):
    """Olmix (2026, arXiv 2602.12237): what a swarm of small finished runs says is best.

    The loss of metric m after a run at mixture x is taken to be L_m(x) = exp(c_m) + exp(t_m x),
    fitted by Huber's loss with L-BFGS; this is also the law of Data Mixing Laws (2024, arXiv
    2403.16952). The mixture of every step is then

        argmin_x  sum_m w_m exp(t_m x) + kl KL(x || prior)   subject to   x_j <= max_epochs U_j / T

    over the simplex, U_j being the unique tokens of domain j and T the tokens of this run. It needs
    more runs than domains, and the runs must resemble this one: small runs repeat their text less
    and mislead unless their corpus was cut down in proportion (arXiv 2606.07597). With few runs the
    fit is exact and means little. Computed once, before the first step: seconds.

    Args:
        results: Path of the finished runs: a ``.csv`` with columns ``weight:<domain>`` and
            ``loss:<metric>``, or a ``.json``, a list of ``{"weights": {..}, "losses": {..}}``.
        kl: Pull to the prior, per unit of the weighted loss, in [0, 1e3]; published runs have 0.05
            to 0.1.
        max_epochs: Most often that any domain may be read.
        metrics: How much each loss counts, by its name. By default losses named after domains
            count as the task's target does, and others equally.
        huber: Error from which on the fit counts errors linearly.
    """

    results: str
    kl: float = 0.05
    max_epochs: float | None = 4.0
    metrics: dict[str, float] | None = None
    huber: float = 0.02

    def __post_init__(self) -> None:
        if not 0 <= self.kl <= 1e3:
            raise ValueError(f"kl must be in [0, 1e3], got {self.kl}")
        if self.max_epochs is not None and not 0 < self.max_epochs < np.inf:
            raise ValueError(
                f"max_epochs must be positive and finite, or left out, got {self.max_epochs}"
            )
        if not 0 < self.huber < np.inf:
            raise ValueError(f"huber must be positive and finite, got {self.huber}")

    def mixture(self, task: Task) -> Array:
        # In the order of their names, so that their order in the corpus does not matter.
        order = np.argsort(name_ranks(task.names))
        names = [task.names[domain] for domain in order]
        runs = read_results(self.results, names)
        require_runs(runs, task.num_domains + 1)
        if not (runs.losses > 0).all():
            raise ValueError(f"losses must be positive for this law, got {runs.losses.min()}")
        most = self._most(task)[order]
        law = fit_log_linear(runs.mixtures, runs.losses, self.huber)
        counts = metric_weights(self.metrics, runs.metrics, names, task.target[order])
        found = propose(law, counts, task.prior[order], most, self.kl)
        if found is None:
            raise ValueError("results must give a law that can be solved: check for odd losses")
        weights = np.empty(task.num_domains)
        weights[order] = found
        return weights

    def _most(self, task: Task) -> Array:
        """Largest share of each domain, shape (k,)."""
        if self.max_epochs is None:
            return np.ones(task.num_domains)
        readable = task.unique_tokens / task.total_tokens * (task.prior > 0)
        fewest = 1 / math.fsum(readable)
        if self.max_epochs < fewest:
            raise ValueError(
                f"max_epochs must be at least {fewest:.4g}, as often as the run must read the "
                f"whole corpus, got {self.max_epochs}"
            )
        most: Array = self.max_epochs * readable
        return most
