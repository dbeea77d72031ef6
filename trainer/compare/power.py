"""What a number of seeds can show, and what it cannot."""

from __future__ import annotations

import math

from trainer.compare.statistics import CONFIDENCE


def power(effect: float, number: int) -> float:
    """How probably the 95 % interval of paired differences leaves out zero, on the right side.

    Args:
        effect: The true mean difference, in standard deviations of the differences between seeds.
        number: Of seeds, at least two.

    Raises:
        ValueError: There are fewer than two seeds.
    """
    if number < 2:
        raise ValueError(f"number of seeds must be at least 2 for an interval, got {number}")
    from scipy.stats import nct, t

    quantile = float(t.ppf((1 + CONFIDENCE) / 2, number - 1))
    return float(nct.sf(quantile, number - 1, abs(effect) * math.sqrt(number)))


def smallest_detectable(number: int, probability: float = 0.8) -> float:
    """The true difference that so many seeds find with this probability, in standard deviations.

    Times the standard deviation of the differences between seeds it is in bits per byte. That
    deviation is itself hardly known from three seeds.

    Args:
        number: Of seeds, at least two.
        probability: That the interval leaves zero out.

    Raises:
        ValueError: There are fewer than two seeds, or the probability cannot be reached or missed.
    """
    if not power(0.0, number) < probability < 1:
        raise ValueError(f"probability must be in ({power(0.0, number):.3g}, 1), got {probability}")
    from scipy.optimize import brentq

    highest = 1.0
    while power(highest, number) < probability:
        highest *= 2
    return float(brentq(lambda effect: power(effect, number) - probability, 0.0, highest))
