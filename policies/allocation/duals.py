"""What binding constraints cost: how much nearer the proposal a mixture could be without them."""

from __future__ import annotations

import numpy as np

from policies.allocation.closed_form import Partition
from policies.allocation.feasible_set import NOBODY, FeasibleSet, Limits
from policies.allocation.filling import FAINTEST, Objective
from policies.signals import Array

AT_BOUND = 1e-9
# Duals below this are what a solver leaves of zero.
COUNTS = 1e-6


def binding(
    feasible: FeasibleSet, limits: Limits, ceiling: Array, duals: dict[str, Array]
) -> tuple[tuple[str, float], ...]:
    """The dual of every constraint that has one, largest first.

    A constraint's dual is the sum over its inequalities: how much the objective falls per share by
    which all of them are loosened in this step.

    Args:
        feasible: The compiled constraints.
        limits: Of the step.
        ceiling: Upper bounds in force, which may come from what is left of a domain, shape (k,).
        duals: Not negative, by the name of the inequalities.
    """
    total = np.zeros(len(feasible.texts) + 1)  # The first is nobody's.
    for name, values in duals.items():
        owner = feasible.owners[name.removesuffix(" later")]
        if name == "upper" and ceiling is not limits.upper:
            owner = np.where(ceiling < limits.upper, feasible.cap_owner, owner)
        # An inequality on the rest of the run holds a share of this step with its weight only.
        scale = limits.weight if name in ("room", "budget") else 1.0
        total += np.bincount(owner - NOBODY, scale * np.maximum(values, 0.0), len(total))
    counting = (total[1:] > COUNTS).nonzero()[0].tolist()  # Few of many, most often.
    found = [(feasible.texts[at], float(total[1 + at])) for at in counting]
    return tuple(sorted(found, key=lambda one: -one[1]))


def bound_duals(weights: Array, slope: Array, limits: Limits, ceiling: Array) -> dict[str, Array]:
    """The duals of the bounds of domains.

    Args:
        weights: A solution, shape (k,).
        slope: How the Lagrangian without these bounds rises in each share, shape (k,): zero except
            where a bound holds.
        limits: Of the step.
        ceiling: Upper bounds in force, shape (k,).
    """
    return {
        "lower": np.where(weights <= limits.lower + AT_BOUND, np.maximum(slope, 0.0), 0.0),
        "upper": np.where(weights >= ceiling - AT_BOUND, np.maximum(-slope, 0.0), 0.0),
    }


def closed_form_duals(
    weights: Array,
    proposal: Array,
    limits: Limits,
    ceiling: Array,
    partition: Partition,
    objective: Objective,
) -> dict[str, Array]:
    """The duals of bounds and group bounds from the conditions of optimality.

    The objective's slope in each domain is that of its group, except at the domain's own bounds;
    the slope of a group is common to all, except at the group's bounds.
    """
    if objective == "kl":
        slope = np.log(np.maximum(weights, FAINTEST) / proposal)
    else:
        slope = 2 * (weights - proposal)
    low, high = weights <= limits.lower + AT_BOUND, weights >= ceiling - AT_BOUND
    number = len(partition.least)
    free = int((low | high).argmin())
    if number == 1 and not (low[free] or high[free]):
        return bound_duals(weights, slope - slope[free], limits, ceiling)
    # The slope of a group is at least that of domains held down and at most of those held up.
    below, above = np.full(number, -np.inf), np.full(number, np.inf)
    np.maximum.at(below, partition.group[~low], slope[~low])
    np.minimum.at(above, partition.group[~high], slope[~high])
    amount = np.bincount(partition.group, weights, number)
    full, short = np.zeros(number, dtype=bool), np.zeros(number, dtype=bool)
    has = partition.most >= 0
    full[has] = amount[has] >= limits.bound[partition.most[has]] - AT_BOUND
    has = partition.least >= 0
    short[has] = amount[has] <= -limits.bound[partition.least[has]] + AT_BOUND
    common = _between(
        float(np.max(below[~short], initial=-np.inf)), float(np.min(above[~full], initial=np.inf))
    )
    own = np.minimum(np.maximum(common, below), above)
    duals = bound_duals(weights, slope - own[partition.group], limits, ceiling)
    duals["bound"] = np.zeros(len(limits.bound))
    duals["bound"][partition.most[full]] = np.maximum(common - own[full], 0.0)
    duals["bound"][partition.least[short]] = np.maximum(own[short] - common, 0.0)
    return duals


def _between(low: float, high: float) -> float:
    """A number of the interval: its middle, or its only end."""
    if np.isfinite(low) and np.isfinite(high):
        return (low + high) / 2
    if np.isfinite(low):
        return low
    return high if np.isfinite(high) else 0.0
