"""Splitting a budget among domains when every further token of a domain is worth less."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from policies.signals import Array

LogMarginal: TypeAlias = Callable[[Array], Array]
"""Amounts of each domain, (k,), to the logarithm of what its next token is worth, (k,)."""

HALVINGS = 60
PRECISION = 1e-14


def water_fill(log_marginal: LogMarginal, cost: Array, cap: Array, budget: float) -> Array:
    """The amounts that are worth the most together, shape (k,).

    Maximises the sum of the domains' values subject to ``cost @ x <= budget, 0 <= x <= cap``. At
    the optimum another unit of cost is worth the same in every domain that is neither empty nor
    full. So one number, the level, decides all amounts; it is found to rounding.

    Args:
        log_marginal: Must fall in each domain's own amount; at zero it may be infinite. Minus
            infinity everywhere marks a domain that is worth nothing: it gets nothing.
        cost: Of one token of each domain, positive, shape (k,).
        cap: Most tokens of each domain, positive, infinity for no cap, shape (k,).
        budget: In units of cost, positive and finite.
    """
    most = np.minimum(cap, budget / cost)
    most = np.where(log_marginal(most) > -np.inf, most, 0.0)
    # Exact sums, so that the order of the domains does not matter even to the last bit.
    fullest = math.fsum(cost * most)
    if fullest <= budget:
        return most
    with np.errstate(divide="ignore", invalid="ignore"):
        return _share(log_marginal, cost, most, budget, fullest)


def _share(
    log_marginal: LogMarginal, cost: Array, most: Array, budget: float, fullest: float
) -> Array:
    """The amounts when the budget does not suffice to fill every domain, shape (k,)."""
    useful, log_cost = most > 0, np.log(cost)
    # Amounts that keep the budget: the level lies between their values.
    values = (log_marginal(most * (budget / fullest)) - log_cost)[useful]
    low, high = float(values.min()), float(values.max())
    least = _amounts(log_marginal, log_cost + high, np.zeros_like(most), most)
    most = _amounts(log_marginal, log_cost + low, least, most)
    for turn in range(2 * HALVINGS):
        under, over = math.fsum(cost * least) / budget, math.fsum(cost * most) / budget
        if min(1 - under, over - 1) <= PRECISION or not low < high:
            break
        # The logarithm of the sum is nearly a line in the level; every other turn makes sure.
        part = math.log(over) / math.log(over / under) if turn % 2 == 0 and under > 0 else 0.5
        level = low + part * (high - low)
        amounts = _amounts(log_marginal, log_cost + level, least, most)
        if math.fsum(cost * amounts) > budget:
            low, most = level, amounts
        else:
            high, least = level, amounts
    return least if 1 - under <= over - 1 else most


def _amounts(log_marginal: LogMarginal, level: Array, least: Array, most: Array) -> Array:
    """Where, between these bounds, each domain's next token is worth its level: shape (k,)."""
    low, high = least, most
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        if not (high - low > PRECISION * middle).any():
            break
        worth = log_marginal(middle) > level
        low, high = np.where(worth, middle, low), np.where(worth, high, middle)
    return high
