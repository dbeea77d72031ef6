"""The best mixture of a scenario and the best plan, against which policies are measured."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import numpy as np

from policies.proportional import Proportional
from policies.signals import Array
from policies.simplex import softmax
from policies.simulator.alone import best_alone
from policies.simulator.descent import Minimum, linear_gap, minimise
from policies.simulator.law import gradient, loss_and_slope
from policies.simulator.scenario import Scenario
from policies.unimax import UniMax

# Bits per byte over which the largest regret is smoothed, one after the other; several starts are
# compared after the rough ones.
ROUGH_TEMPERATURES = (1e-1, 3e-2, 1e-2)
FINE_TEMPERATURES = (3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
RANDOM_STARTS = 3


class Optimum(NamedTuple):
    """What a run could have come to, losses in bits per byte.

    A minimum's ``mixtures`` has one row for a fixed mixture and g rows, one per part of the run,
    for a plan. Its ``gap`` bounds the distance to the true minimum; it is infinite where negative
    transfer makes the problem non-convex and the answer is the best of several descents.

    Attributes:
        alone: Lowest loss each domain could have had, shape (k,).
        average_fixed: Least average loss, weighted by the target, of one mixture for all steps.
        average_planned: The same for the best plan.
        worst_fixed: Least largest regret over the domains that the target counts, a domain's
            regret being its loss less ``alone``, of one mixture for all steps.
        worst_planned: The same for the best plan.
    """

    alone: Array
    average_fixed: Minimum
    average_planned: Minimum
    worst_fixed: Minimum
    worst_planned: Minimum


@lru_cache(maxsize=32)
def find_optimum(scenario: Scenario) -> Optimum:
    """The optimum of a scenario; found once, then remembered.

    A plan has one mixture per part of the run: by the law only the sum of the exposures within a
    part matters, so that no finer plan is better. With a single part the plan is the mixture.
    """
    alone = best_alone(scenario)
    whole = scenario.part_exposure.sum(axis=0, keepdims=True)
    found = []
    for solve in (least_average, partial(least_worst, alone=alone)):
        fixed = solve(scenario, whole, _starts(scenario))
        planned = fixed
        if scenario.num_parts > 1:
            starts = [fixed.mixtures, *_starts(scenario)[1:]]
            starts = [np.tile(start, (scenario.num_parts, 1)) for start in starts]
            planned = solve(scenario, scenario.part_exposure, starts)
        found += [fixed, planned]
    return Optimum(alone, *found)


def _starts(scenario: Scenario) -> list[Array]:
    """Where to descend from: one start will do where the problem is convex; (1, k) each."""
    task = scenario.task()
    starts = [UniMax().mixture(task)]
    if not scenario.convex:
        uniform = np.full(scenario.num_domains, 1 / scenario.num_domains)
        generator = np.random.default_rng(0)
        starts += [uniform, Proportional().mixture(task)]
        starts += list(generator.dirichlet(np.ones(scenario.num_domains), RANDOM_STARTS))
    return [start[None] for start in starts]


def least_average(scenario: Scenario, exposure_of_all: Array, starts: Sequence[Array]) -> Minimum:
    """Minimise the average final loss, weighted by the target.

    Args:
        scenario: The scenario.
        exposure_of_all: Exposure of each domain if it had all of a part of the run, shape (g, k).
        starts: Mixtures to descend from, shape (g, k) each.
    """

    def objective(mixtures: Array) -> tuple[float, Array]:
        exposure = (exposure_of_all * mixtures).sum(axis=0)
        losses, fall = loss_and_slope(scenario, exposure)
        slope = gradient(scenario, exposure, scenario.target * fall)
        return float(scenario.target @ losses), exposure_of_all * slope

    best = _lowest(minimise(objective, start) for start in starts)
    return best if scenario.convex else best._replace(gap=np.inf)


def least_worst(
    scenario: Scenario, exposure_of_all: Array, starts: Sequence[Array], *, alone: Array
) -> Minimum:
    """Minimise the largest regret of the domains that the target counts.

    Descends the log-sum-exp of the regrets, ever closer to their maximum. For any weights on the
    domains the least weighted regret is below the least largest one: the gap is taken to the
    highest such bound on the way.

    Args:
        scenario: The scenario.
        exposure_of_all: Exposure of each domain if it had all of a part of the run, shape (g, k).
        starts: Mixtures to descend from, shape (g, k) each.
        alone: Lowest loss each domain could have had, shape (k,).
    """
    counted = scenario.target > 0

    def smoothed(mixtures: Array, temperature: float) -> tuple[float, Array]:
        regret, _, slope = at(mixtures, temperature)
        top = float(regret.max())
        total = float(np.exp((regret - top) / temperature).sum())
        return top + temperature * float(np.log(total)), slope

    def at(mixtures: Array, temperature: float) -> tuple[Array, Array, Array]:
        """Regrets of the domains, their weights in the smooth maximum, and its gradient."""
        exposure = (exposure_of_all * mixtures).sum(axis=0)
        losses, fall = loss_and_slope(scenario, exposure)
        regret = np.where(counted, losses - alone, -np.inf)
        share = softmax(regret / temperature)
        return regret, share, exposure_of_all * gradient(scenario, exposure, share * fall)

    def descend(mixtures: Array, temperatures: Sequence[float]) -> Minimum:
        best, bound = Minimum(np.inf, mixtures, np.inf), -np.inf
        for temperature in temperatures:
            objective = partial(smoothed, temperature=temperature)
            mixtures = minimise(objective, mixtures, tolerance=temperature, restarts=2).mixtures
            regret, share, slope = at(mixtures, temperature)
            weighted = float(share[counted] @ regret[counted])
            bound = max(bound, weighted - linear_gap(mixtures, slope))
            if regret.max() < best.value:
                best = Minimum(float(regret.max()), mixtures, np.inf)
        return best._replace(gap=best.value - bound)

    rough = _lowest(descend(start, ROUGH_TEMPERATURES) for start in starts)
    best = descend(rough.mixtures, FINE_TEMPERATURES)
    return best if scenario.convex else best._replace(gap=np.inf)


def _lowest(minima: Iterable[Minimum]) -> Minimum:
    return min(minima, key=lambda minimum: minimum.value)
