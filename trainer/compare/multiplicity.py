"""What paired differences still say when there are several of them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from policies import Array
from trainer.compare.statistics import CONFIDENCE, Paired


def p_value(pair: Paired) -> float:
    """Two-sided p-value of a mean difference, by the t-test whose interval the pair has.

    Below 0.05 exactly where that 95 % interval leaves zero out. NaN where there is no interval.
    """
    if math.isnan(pair.half):
        return math.nan
    if pair.half == 0:
        return float(pair.difference == 0)
    from scipy.stats import t

    error = pair.half / float(t.ppf((1 + CONFIDENCE) / 2, pair.number - 1))
    return 2 * float(t.sf(abs(pair.difference) / error, pair.number - 1))


def holm(p_values: Sequence[float]) -> Array:
    """P-values adjusted for being several, shape (m,), in the order given.

    Whoever claims only what stays below 0.05 makes a false claim, even a single one, in at most
    5 % of such comparisons, however the differences depend on each other. All differences to one
    baseline do depend on each other (Holm 1979, Scandinavian Journal of Statistics 6, 65-70).

    Args:
        p_values: NaN where there is none: it stays NaN, and is not one of the several.
    """
    values = np.asarray(p_values, dtype=np.float64)
    adjusted = np.full(len(values), np.nan)
    order = np.argsort(values)[: int(np.isfinite(values).sum())]
    factors = np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * values[order]), 1.0)
    return adjusted
