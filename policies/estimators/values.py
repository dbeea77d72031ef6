"""What a target mixture would have earned, from rounds drawn under another one.

With w the importance weight of a round, r its reward, q the model's prediction for the domain drawn
and d the model's mean under the target mixture. The equations are those of the Open Bandit Pipeline
(Saito et al. 2021, arXiv 2008.07146), release 0.5.5. Standard errors are of the mean of one term
per round, rounds taken as independent; they know nothing of a bias.
"""

from __future__ import annotations

import numpy as np

from policies.estimators.logged import Estimate, LoggedRounds
from policies.estimators.weights import clipped, shrunken, switched
from policies.signals import Array


def direct_method(rounds: LoggedRounds) -> Estimate:
    """Mean of ``d``: as good as the model, whose error no standard error shows."""
    return _mean(rounds.predicted)


def ips(rounds: LoggedRounds, *, max_weight: float = np.inf) -> Estimate:
    """Inverse propensity scores, mean of ``min(w, max_weight) r`` (Horvitz and Thompson 1952).

    Unbiased without ``max_weight``, however bad the model; its variance grows with the weights.

    Args:
        rounds: The rounds.
        max_weight: Clips larger weights, which trades bias for variance.
    """
    return _mean(clipped(rounds.weight, max_weight) * rounds.rewards)


def self_normalised_ips(rounds: LoggedRounds) -> Estimate:
    """``sum(w r) / sum(w)``, which adding a constant to all rewards moves by that constant.

    NaN if the target mixture would have drawn nothing of what was drawn. The standard error is
    that of the delta method (Swaminathan and Joachims 2015, NeurIPS).
    """
    value, influence = _ratio(rounds.weight, rounds.rewards)
    return Estimate(value, _mean(influence).standard_error)


def doubly_robust(rounds: LoggedRounds, *, max_weight: float = np.inf) -> Estimate:
    """Mean of ``d + min(w, max_weight) (r - q)`` (Dudik et al. 2011, arXiv 1103.4601).

    Without ``max_weight`` unbiased if the model is right or the propensities are.

    Args:
        rounds: The rounds.
        max_weight: Clips larger weights, which moves the estimate toward the model's.
    """
    return _mean(rounds.predicted + clipped(rounds.weight, max_weight) * rounds.surprise)


def self_normalised_dr(rounds: LoggedRounds) -> Estimate:
    """Mean of ``d`` plus ``sum(w (r - q)) / sum(w)``; NaN where no weight is positive."""
    predicted = rounds.predicted
    correction, influence = _ratio(rounds.weight, rounds.surprise)
    error = _mean(predicted + influence).standard_error
    return Estimate(float(predicted.mean()) + correction, error)


def switch_dr(rounds: LoggedRounds, *, max_weight: float) -> Estimate:
    """Mean of ``d + 1[w <= max_weight] w (r - q)`` (Wang et al. 2017, arXiv 1612.01205).

    Args:
        rounds: The rounds.
        max_weight: Where the weight exceeds it, the model stands uncorrected.
    """
    return _mean(rounds.predicted + switched(rounds.weight, max_weight) * rounds.surprise)


def shrinkage_dr(rounds: LoggedRounds, *, strength: float) -> Estimate:
    """Mean of ``d + strength w / (w^2 + strength) (r - q)`` (Su et al. 2020, arXiv 1907.09623).

    Args:
        rounds: The rounds.
        strength: 0 gives the direct method, infinity `doubly_robust`.
    """
    return _mean(rounds.predicted + shrunken(rounds.weight, strength) * rounds.surprise)


def replay(rounds: LoggedRounds) -> Estimate:
    """Mean reward where the target mixture was certain of the domain drawn (Li et al. 2011).

    For targets without chance only. NaN where no round qualifies: the Open Bandit Pipeline says 0,
    which cannot be told from a reward.
    """
    rewards = rounds.rewards[rounds.matched]
    return _mean(rewards) if len(rewards) else Estimate(np.nan, np.nan)


def _mean(terms: Array) -> Estimate:
    number = len(terms)
    error = float(terms.std(ddof=1)) / np.sqrt(number) if number > 1 else np.nan
    return Estimate(float(terms.mean()), error)


def _ratio(weight: Array, values: Array) -> tuple[float, Array]:
    """``sum(weight values) / sum(weight)`` and each round's influence on it, shape (n,)."""
    total = float(weight.sum())
    if total <= 0:
        return np.nan, np.full_like(values, np.nan)
    mean = float(weight @ values) / total
    return mean, weight * (values - mean) * (len(weight) / total)
