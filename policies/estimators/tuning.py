"""How far to trust importance weights: the mean squared error a limit on them would have."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeAlias

import numpy as np

from policies.estimators.logged import LoggedRounds
from policies.estimators.weights import clipped, shrunken, switched
from policies.signals import Array

LimitedRule: TypeAlias = Literal["ips", "doubly_robust", "switch_dr", "shrinkage_dr"]

LIMITS: dict[str, Callable[[Array, float], Array]] = {
    "ips": clipped,
    "doubly_robust": clipped,
    "switch_dr": switched,
    "shrinkage_dr": shrunken,
}


def mse_score(
    rounds: LoggedRounds, rule: LimitedRule, limit: float, *, delta: float | None = None
) -> float:
    """Estimated mean squared error of an estimator at one limit on its weights.

    It is ``var(z) / n + bias^2`` for the terms z whose mean is the estimate, with

        bias = |mean((w - w_limited) rho)|,   rho = r for "ips", r - q for the others,

    and, with ``delta``, a bound on that bias by Bernstein's inequality in its place:

        bias + sqrt(2 mean(w^2) ln(2 / delta) / n) + 2 max(w) ln(2 / delta) / (3 n).

    After Su et al. (2020, arXiv 1907.09623) as the Open Bandit Pipeline 0.5.5 has it. The bound
    takes the weights as they are, not as limited: it adds the same to the bias of every limit.

    Args:
        rounds: The rounds.
        rule: The estimator.
        limit: Its ``max_weight`` or ``strength``.
        delta: Probability with which the bound may fail, in (0, 1); None for the bias itself.
    """
    if rule not in LIMITS:
        raise ValueError(f"rule must be one of {', '.join(LIMITS)}, got {rule!r}")
    if delta is not None and not 0 < delta < 1:
        raise ValueError(f"delta must be in (0, 1), got {delta}")
    weight, number = rounds.weight, len(rounds.rewards)
    limited = LIMITS[rule](weight, limit)
    reward = rounds.rewards if rule == "ips" else rounds.surprise
    terms = limited * reward if rule == "ips" else rounds.predicted + limited * reward
    bias = abs(float(((weight - limited) * reward).mean()))
    if delta is not None:
        odds = np.log(2 / delta)
        bias += float(np.sqrt(2 * (weight**2).mean() * odds / number))
        bias += 2 * float(weight.max()) * odds / (3 * number)
    return float(terms.var()) / number + bias**2


def best_limit(
    rounds: LoggedRounds,
    rule: LimitedRule,
    limits: Sequence[float],
    *,
    delta: float | None = None,
) -> float:
    """The limit with the lowest `mse_score`; the first of equals.

    Args:
        rounds: The rounds.
        rule: The estimator.
        limits: To choose from; at least one.
        delta: As for `mse_score`.
    """
    if not limits:
        raise ValueError("limits must hold at least one limit, got none")
    return min(limits, key=lambda limit: mse_score(rounds, rule, limit, delta=delta))
