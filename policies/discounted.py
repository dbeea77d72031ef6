"""Number, mean and variance of each domain's values, where older values count less."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.signals import Array

_TINY = float(np.finfo(np.float64).tiny)


class Moments(NamedTuple):
    """Discounted moments, each of shape (k,). A value that is a updates old weighs gamma ** a.

    Attributes:
        number: Sum of the weights: the number of values, those long past forgotten.
        square_number: Sum of the squared weights.
        mean: Weighted mean of the values; zero where there were none.
        scatter: Weighted sum of squared deviations from that mean.
    """

    number: Array
    square_number: Array
    mean: Array
    scatter: Array


def no_moments(num_domains: int) -> Moments:
    """Moments before the first value."""
    return Moments(*np.zeros((len(Moments._fields), num_domains)))


class Summary(NamedTuple):
    """What one step's values come to, each of shape (k,).

    Attributes:
        number: How many values.
        mean: Their mean; zero where there are none.
        scatter: Their sum of squared deviations from that mean.
    """

    number: Array
    mean: Array
    scatter: Array


def summarise(domain: NDArray[np.int64], values: Array, num_domains: int) -> Summary:
    """Summary of n values by domain.

    Args:
        domain: Domain of each value, shape (n,).
        values: Finite, shape (n,).
        num_domains: How many domains there are, k.
    """
    number, mean = mean_by_domain(domain, values, num_domains)
    deviation = values - mean[domain]
    scatter = np.bincount(domain, deviation * deviation, num_domains).astype(np.float64)
    return Summary(number, mean, scatter)


def absorb(moments: Moments, summary: Summary, gamma: float) -> Moments:
    """Moments after one more update.

    The recursion on mean and scatter is that of Chan, Golub and LeVeque (1983) with the old part
    discounted. Unlike sums of squares it loses no digits when the mean is large.

    Args:
        moments: The moments so far.
        summary: The new values.
        gamma: What one update leaves of a weight, in (0, 1].
    """
    old_number = gamma * moments.number
    number = old_number + summary.number
    step = fraction(summary.number, number)  # Zero where there are no new values.
    shift = summary.mean - moments.mean
    return Moments(
        number=number,
        square_number=gamma**2 * moments.square_number + summary.number,
        mean=moments.mean + step * shift,
        scatter=gamma * moments.scatter + summary.scatter + old_number * step * shift * shift,
    )


def mean_by_domain(
    domain: NDArray[np.int64], values: Array, num_domains: int
) -> tuple[Array, Array]:
    """Number and mean of the values of each domain, shapes (k,); the mean of none is zero."""
    number = np.bincount(domain, minlength=num_domains).astype(np.float64)
    total = np.bincount(domain, values, num_domains).astype(np.float64)
    return number, fraction(total, number)


def fraction(part: Array, whole: Array) -> Array:
    """``part / whole`` elementwise, shape (k,), zero where both are; wholes are not negative."""
    return part / np.maximum(whole, _TINY)  # Several times faster than a division that skips zeros.
