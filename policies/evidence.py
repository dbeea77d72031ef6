"""How far domains differ beyond what noise explains."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from policies.discounted import Moments, fraction
from policies.signals import Array

_TINY = float(np.finfo(np.float64).tiny)
# Rewards in bits per byte that differ by less, and parts of a sum that are smaller, are rounding.
RESOLUTION = 1e-9


class Scores(NamedTuple):
    """Domains compared.

    Attributes:
        score: Standardised, shrunken difference of each domain from the mean one, shape (k,).
        strength: Which part of the spread between domains is not noise, in [0, 1).
    """

    score: Array
    strength: float


def shrunken_scores(mean: Array, moments: Moments) -> Scores:
    """Empirical Bayes scores of the domains' means in a one-way random-effects model.

    With means m_j of n_j values, the pooled variance s^2 within domains and the domains' squared
    standard errors se_j^2, the variance V between domains is the two-step moment estimate of
    DerSimonian and Kacker (2007, Contemporary Clinical Trials 28): for weights a_j

        T^2 = sum_j a_j (m_j - m_a)^2 / D                          spread of the means
        N^2 = (sum_j a_j se_j^2 - sum_j a_j^2 se_j^2 / A) / D      what noise alone gives
        V   = max(0, T^2 - N^2),    A = sum_j a_j,    D = A - sum_j a_j^2 / A,

    first with a_j = n_j, then with a_j = n_j / (V n_j + s^2). The score of a domain is

        score_j = n_j V / (n_j V + s^2) * (m_j - m_a) / T:

    its standardised mean, times the part of it to be believed. With equal counts this is
    ``B (m_j - mean) / sd`` with the shrinkage factor ``B = max(0, 1 - se^2 / sd^2)``. A domain
    without values scores zero, and so do all where the spread is no wider than noise. Scores change
    neither with the unit of the values nor with a constant added to all of them, as long as there
    is more to compare than rounding errors.

    Args:
        mean: Mean of each domain, shape (k,); the moments' own, or corrected for something.
        moments: Counts and scatter of the values behind the means.
    """
    # numpy takes longer over `sum` and `@` than over `dot`, and to ask where a divisor is zero.
    number, ones = moments.number, np.ones(len(mean))
    total = float(number.dot(ones))
    inverse = 1 / np.maximum(number, _TINY)
    share = moments.square_number * inverse
    freedom = total - float(share.dot(ones))
    if freedom <= RESOLUTION * total:
        return _no_scores(len(mean))
    variance = float(moments.scatter.dot(ones)) / freedom
    squared_error = variance * share * inverse
    between, weight = 0.0, number
    for _ in range(2):
        if between > 0:
            weight = fraction(number, between * number + variance)
        whole = float(weight.dot(ones))
        effective = whole - float(weight.dot(weight)) / whole
        if effective <= RESOLUTION * whole:
            return _no_scores(len(mean))
        deviation = mean - float(weight.dot(mean)) / whole
        spread = float(weight.dot(deviation * deviation)) / effective
        weighted = weight * squared_error
        noise = (float(weighted.dot(ones)) - float(weighted.dot(weight)) / whole) / effective
        between = spread - noise
        if between <= 0 or spread <= RESOLUTION**2:
            return _no_scores(len(mean))
    explained = between * number
    believed = fraction(explained, explained + variance)
    return Scores(believed * deviation * spread**-0.5, between / spread)


def _no_scores(num_domains: int) -> Scores:
    return Scores(np.zeros(num_domains), 0.0)
