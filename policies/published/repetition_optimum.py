"""The best fixed mixture under a law that knows what repeated text is worth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import final

import numpy as np

from policies.policy import Task
from policies.programs import load_cvxpy, on_simplex, solve
from policies.repetition import SINGLE_SOURCE_DECAY, effective_epochs
from policies.shuffle import name_ranks
from policies.signals import Array
from policies.static import Static
from policies.waterfilling import water_fill


@final
@dataclass(frozen=True, kw_only=True)
class RepetitionOptimum(Static):
    """The mixture that a repetition-aware law predicts to be the best for the whole run.

    If n_j tokens of domain j are read in the run, U_j of them different, the loss of domain i ends
    at E_i + B D_i^-alpha with

        D_i = sum_j tau_ij U_j r(n_j / U_j),   tau_ii = 1,

    r being `repetition.effective_epochs`, which grows ever more slowly after the first reading
    (Muennighoff et al. 2023, arXiv 2305.16264; for mixtures arXiv 2605.12715). The mixture
    minimises sum_i target_i D_i^-alpha subject to sum_j n_j = the tokens of the run and, if asked
    for, a cap on epochs. E_i and a B common to all domains do not matter to it. So it lies between
    the mixture ~ target^(1 / (1 + alpha)), uniform for a uniform target, when no text needs
    repeating, and the natural mixture when all must be repeated often.

    The law is as good as its numbers: that alpha and B are the same for every domain is an
    assumption, and nothing is learnt during the run. Computed once, before the first step: without
    transfer by bisection, in under a second for thousands of domains; with transfer by a convex
    program, seconds at hundreds.

    Args:
        alpha: Exponent of the law in (0, 2]. Published fits lie near 0.3.
        decay: Repeats after which a further one is worth 1/e, positive. The default is the value
            for one source read alone; mixtures are reported to tolerate more.
        max_epochs: Most often that any domain may be read. A run that is longer than this many
            readings of the whole corpus gets the natural mixture, which repeats all equally often.
        transfer: ``{trained domain: {evaluated domain: tau}}``: what a token of the first is worth
            to the second as a part of one of its own, in [0, 1]; zero if not named.
    """

    alpha: float = 0.3
    decay: float = SINGLE_SOURCE_DECAY
    max_epochs: float | None = None
    transfer: dict[str, dict[str, float]] | None = None

    def __post_init__(self) -> None:
        if not 0 < self.alpha <= 2:
            raise ValueError(f"alpha must be in (0, 2], got {self.alpha}")
        if not 1e-3 <= self.decay <= 1e6:
            raise ValueError(f"decay must be in [0.001, 1e6], got {self.decay}")
        if self.max_epochs is not None and not 0 < self.max_epochs < np.inf:
            raise ValueError(
                f"max_epochs must be positive and finite, or left out, got {self.max_epochs}"
            )
        for trained, column in (self.transfer or {}).items():
            for evaluated, tau in column.items():
                if not 0 <= tau <= 1:
                    raise ValueError(
                        f"transfer to {evaluated!r} from {trained!r} must be in [0, 1], got {tau}"
                    )
                if evaluated == trained and tau != 1:
                    raise ValueError(
                        f"transfer of {evaluated!r} to itself must be 1 or left out, got {tau}"
                    )

    def mixture(self, task: Task) -> Array:
        cap = np.inf if self.max_epochs is None else self.max_epochs
        natural: Array = task.unique_tokens / math.fsum(task.unique_tokens)
        if task.total_tokens >= cap * math.fsum(task.unique_tokens):
            return natural
        tau = self._tau(task)
        # Tokens in units of the run, so that the shares are the amounts.
        unique = task.unique_tokens / task.total_tokens
        if np.count_nonzero(tau) == task.num_domains:
            return self._separable(task.target, unique, cap * unique)
        order = np.argsort(name_ranks(task.names))  # So that their order in the list is no matter.
        weights = np.empty(task.num_domains)
        weights[order] = self._coupled(
            task.target[order], unique[order], cap, tau[np.ix_(order, order)]
        )
        return weights

    def _tau(self, task: Task) -> Array:
        """Transfer as a matrix, rows evaluated and columns trained, shape (k, k)."""
        place = {name: index for index, name in enumerate(task.names)}
        tau = np.eye(task.num_domains)
        for trained, column in (self.transfer or {}).items():
            for evaluated, value in column.items():
                for name in (evaluated, trained):
                    if name not in place:
                        raise ValueError(f"transfer must name domains of the corpus, got {name!r}")
                tau[place[evaluated], place[trained]] = value
        return tau

    def _separable(self, target: Array, unique: Array, cap: Array) -> Array:
        """Without transfer: each domain's gain is a function of its own tokens."""
        with np.errstate(divide="ignore"):
            log_target = np.log(target)

        def log_marginal(tokens: Array) -> Array:
            epochs = tokens / unique
            read = np.maximum(unique * effective_epochs(epochs, self.decay), 1e-300)
            return (
                log_target
                - (1 + self.alpha) * np.log(read)
                - np.maximum(epochs - 1, 0.0) / self.decay
            )

        amounts = water_fill(log_marginal, np.ones_like(unique), cap, 1.0)
        return _complete(amounts, cap)

    def _coupled(self, target: Array, unique: Array, cap: float, tau: Array) -> Array:
        """With transfer: a convex program in the first readings and the repeats of each domain."""
        cp = load_cvxpy()
        # Text beyond what the run could read even alone is as good as absent.
        size = np.minimum(unique, 1.0)
        first, repeats = cp.Variable(len(size)), cp.Variable(len(size))
        weights = cp.multiply(size, first + repeats)
        repeated = 1 - cp.exp(-repeats / self.decay)
        fresh = cp.multiply(size, first) + cp.multiply(self.decay * size, repeated)
        # A variable of its own, in units of an even share: a solver's accuracy is absolute.
        worth = cp.Variable(len(size))
        useful = target > 0
        read = tau[useful] / len(size) @ worth
        loss = target[useful] @ cp.exp(-self.alpha * cp.log(read))
        limits = [
            first >= 0,
            first <= 1,
            repeats >= 0,
            cp.sum(weights) == 1,
            worth <= len(size) * fresh,
        ]
        if cap < np.inf:
            limits.append(weights <= cap * unique)
        if not solve(cp.Problem(cp.Minimize(loss), limits)):
            raise ValueError("transfer must leave a program that can be solved: use fewer entries")
        return on_simplex(np.asarray(weights.value))


def _complete(amounts: Array, cap: Array) -> Array:
    """What is left of a whole, where all domains that count are full, goes to the others: (k,)."""
    rest = 1 - math.fsum(amounts)
    if rest > 1e-12:
        room = cap - amounts
        amounts = amounts + rest / math.fsum(room) * room
    completed: Array = amounts / math.fsum(amounts)
    return completed
