"""The best that each domain could have had, if the whole run had been for it."""

from __future__ import annotations

import numpy as np

from policies.repetition import effective_epochs
from policies.signals import Array
from policies.simulator.descent import minimise
from policies.simulator.law import gradient, loss_and_slope
from policies.simulator.scenario import Scenario

BISECTIONS = 100


def best_alone(scenario: Scenario) -> Array:
    """Lowest loss of each domain over all mixtures, bits per byte, shape (k,).

    When usefulness stays as it is the answer is exact: what reaches a domain is a sum of concave
    functions, one per domain drawn, so the budget is spent where its marginal worth is highest
    until all that is drawn is worth the same, found by bisection. Domains that do harm are never
    drawn. When it changes, each domain has a path of its own, found by descent.
    """
    if scenario.num_parts > 1:
        return np.array([_best_path(scenario, one) for one in range(scenario.num_domains)])
    transfer, number = scenario.transfer, scenario.num_domains
    own = np.arange(number)
    rows = np.concatenate([own, transfer.rows])
    columns = np.concatenate([own, transfer.columns])
    values = np.concatenate([np.ones(number), transfer.values])
    useful = (values > 0) & (scenario.part_exposure[0, columns] > 0)
    rows, columns, values = rows[useful], columns[useful], values[useful]
    unique, decay = scenario.unique_tokens[columns], scenario.decay[columns]
    # In parts of the whole budget: shares that sum to one for each domain evaluated.
    epochs_of_all = scenario.part_exposure[0, columns] / unique
    first = np.log(values * unique * epochs_of_all)  # Log worth of a fresh share.

    def shares(log_price: Array) -> Array:
        repeats = decay * (first - log_price[rows])
        epochs: Array = np.where(repeats >= 0, 1 + np.maximum(repeats, 0.0), 0.0)
        epochs /= epochs_of_all
        return epochs

    high = np.full(number, first.max() + 1)
    longest = float((epochs_of_all / decay).max())
    low = np.full(number, first.min() - longest - 1)
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        over = np.bincount(rows, shares(middle), number) >= 1
        low, high = np.where(over, middle, low), np.where(over, high, middle)
    # Text whose worth is exactly the price is drawn in part.
    more, less = shares(low), shares(high)
    sum_more, sum_less = (np.bincount(rows, one, number) for one in (more, less))
    part = (1 - sum_less) / np.maximum(sum_more - sum_less, 1e-300)
    taken = less + part[rows] * (more - less)
    reached = np.bincount(
        rows, values * unique * effective_epochs(taken * epochs_of_all, decay), number
    )
    base = 1 + reached / scenario.start_tokens
    best: Array = scenario.floor + scenario.gain * base**-scenario.alpha
    return best


def _best_path(scenario: Scenario, domain: int) -> float:
    wanted = np.zeros(scenario.num_domains)
    wanted[domain] = 1.0

    def objective(mixtures: Array) -> tuple[float, Array]:
        exposure = (scenario.part_exposure * mixtures).sum(axis=0)
        losses, fall = loss_and_slope(scenario, exposure)
        slope = gradient(scenario, exposure, wanted * fall)
        return float(losses[domain]), scenario.part_exposure * slope

    start = np.full(scenario.part_exposure.shape, 1 / scenario.num_domains)
    return minimise(objective, start).value
