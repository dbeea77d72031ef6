"""The log-linear law from a mixture to a loss, and the mixture it proposes."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from policies.programs import load_cvxpy, on_simplex, relative_entropy, solve
from policies.signals import Array

# Shares of the least loss seen that the fit tries as the floor; the rest is fitted by a line.
FLOORS = (0.001, 0.3, 0.6, 0.8, 0.9, 0.97)
REFINED = 2  # Of these starts, the best.
LARGEST_EXPONENT = 50.0  # Beyond it a prediction is absurd, and its exponential may overflow.


class LogLinear(NamedTuple):
    """Losses of a mixture x: ``floor + exp(slope @ x)``.

    With the shares summing to one this is also the law of Data Mixing Laws (2024, arXiv
    2403.16952), c + b exp(A x), whose b is a constant added to every slope.

    Attributes:
        floor: Shape (m,), not negative.
        slope: Shape (m, k).
    """

    floor: Array
    slope: Array

    def predict(self, mixtures: Array) -> Array:
        """Losses of mixtures, shape (n, k), as (n, m)."""
        exponent = np.minimum(mixtures @ self.slope.T, LARGEST_EXPONENT)
        losses: Array = self.floor + np.exp(exponent)
        return losses


def fit_log_linear(mixtures: Array, losses: Array, huber: float = 0.02) -> LogLinear:
    """The law with the least sum of Huber losses, one fit for each column of losses.

    Six starts: for a floor that is a part of the least loss seen, the line through the logarithm
    of what lies above it. The two best are refined by L-BFGS with the exact gradient.

    Args:
        mixtures: Shape (n, k), rows on the simplex.
        losses: Shape (n, m), positive.
        huber: Error from which on the penalty grows linearly and no longer with the square.
    """
    fits = [_fit_one(mixtures, column, huber) for column in losses.T]
    return LogLinear(
        np.array([np.exp(min(one[0], LARGEST_EXPONENT)) for one in fits]),
        np.array([one[1:] for one in fits]),
    )


def huber_error(
    parameters: Array, mixtures: Array, losses: Array, huber: float
) -> tuple[float, Array]:
    """Sum of Huber losses and its gradient, for the logarithm of the floor and the slope: (1 + k,).

    Args:
        parameters: Logarithm of the floor, then the slope, shape (1 + k,).
        mixtures: Shape (n, k).
        losses: Shape (n,).
        huber: Where the penalty turns from square to linear.
    """
    floor = np.exp(min(parameters[0], LARGEST_EXPONENT))
    above = np.exp(np.minimum(mixtures @ parameters[1:], LARGEST_EXPONENT))
    error = floor + above - losses
    pull = np.clip(error, -huber, huber)
    total = float((pull * (error - 0.5 * pull)).sum())
    gradient = np.concatenate([[floor * pull.sum()], mixtures.T @ (pull * above)])
    return total, gradient


def _fit_one(mixtures: Array, losses: Array, huber: float) -> Array:
    from scipy.optimize import minimize

    data = (mixtures, losses, huber)
    starts = []
    for floor in np.array(FLOORS) * losses.min():
        slope = np.linalg.lstsq(mixtures, np.log(losses - floor), rcond=None)[0]
        starts.append(np.concatenate([[np.log(floor)], slope]))
    starts.sort(key=lambda start: huber_error(start, *data)[0])
    fits = [
        minimize(
            huber_error,
            start,
            data,
            method="L-BFGS-B",
            jac=True,
            options={"maxiter": 500, "maxfun": 1000, "ftol": 1e-13, "gtol": 1e-9},
        )
        for start in starts[:REFINED]
    ]
    best: Array = min(fits, key=lambda fit: float(fit.fun)).x
    return best


def propose(law: LogLinear, counts: Array, prior: Array, most: Array, kl: float) -> Array | None:
    """The mixture with the least predicted loss that does not stray far from the prior: (k,).

    Minimises ``counts @ exp(slope @ x) + kl KL(x || prior)`` over the simplex with ``x <= most``.

    Args:
        law: The fitted law; its floors do not matter.
        counts: How much each loss counts, shape (m,).
        prior: Shape (k,). A domain whose prior is zero gets nothing.
        most: Largest share of each domain, shape (k,), summing to at least one.
        kl: Strength of the pull to the prior.

    Returns:
        The mixture, or None where no solver found it.
    """
    use = counts > 0
    program = _program(int(use.sum()), len(prior), kl)
    program.slope.value = law.slope[use]
    program.offset.value = np.log(counts[use])
    program.log_prior.value = np.log(np.where(prior > 0, prior, 1.0))
    program.most.value = np.where(prior > 0, np.minimum(most, 1.0), 0.0)
    if not solve(program.problem):
        return None
    return on_simplex(np.where(prior > 0, program.weights.value, 0.0))


class _Program(NamedTuple):
    """The program for any law; its parameters are set for each solve."""

    problem: Any
    weights: Any
    slope: Any
    offset: Any
    log_prior: Any
    most: Any


@lru_cache(maxsize=4)
def _program(num_losses: int, num_domains: int, kl: float) -> _Program:
    cp = load_cvxpy()
    weights = cp.Variable(num_domains)
    slope, offset = cp.Parameter((num_losses, num_domains)), cp.Parameter(num_losses)
    log_prior, most = cp.Parameter(num_domains), cp.Parameter(num_domains, nonneg=True)
    loss = cp.sum(cp.exp(slope @ weights + offset))
    problem = cp.Problem(
        cp.Minimize(loss + kl * relative_entropy(weights, log_prior)),
        [weights >= 0, weights <= most, cp.sum(weights) == 1],
    )
    return _Program(problem, weights, slope, offset, log_prior, most)
