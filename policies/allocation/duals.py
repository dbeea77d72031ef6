"""What binding constraints cost: how much nearer the proposal a mixture could be without them."""

from __future__ import annotations

import numpy as np

from policies.allocation.closed_form import Grouped
from policies.allocation.feasible_set import FeasibleSet, Limits
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
    total = np.zeros(len(feasible.texts) + 1)  # The last is nobody's.
    for name, values in duals.items():
        if not np.count_nonzero(values):
            continue
        place = feasible.owner_places[name]
        if name == "upper" and ceiling is not limits.upper:
            place = np.where(ceiling < limits.upper, feasible.owner_places["cap"], place)
        # An inequality on the rest of the run holds a share of this step with its weight only.
        if name in ("room", "budget"):
            values = limits.weight * values
        total += np.bincount(place, values, len(total))
    costs = zip(feasible.texts, total.tolist(), strict=False)
    found = [one for one in costs if one[1] > COUNTS]
    found.sort(key=lambda one: -one[1])
    return tuple(found)


def bound_duals(slope: Array) -> dict[str, Array]:
    """The duals of the bounds of domains.

    Args:
        slope: Of the Lagrangian without these bounds in each share, zero but where one holds, (k,).
    """
    lower = np.maximum(slope, 0.0)
    return {"lower": lower, "upper": lower - slope}


def nearly_bound_duals(
    weights: Array, slope: Array, limits: Limits, ceiling: Array
) -> dict[str, Array]:
    """The same where slopes are zero only nearly, as in a solution up to some precision.

    Args:
        weights: The solution, shape (k,).
        slope: Shape (k,).
        limits: Of the step.
        ceiling: Upper bounds in force, shape (k,).
    """
    return {
        "lower": np.where(weights <= limits.lower + AT_BOUND, np.maximum(slope, 0.0), 0.0),
        "upper": np.where(weights >= ceiling - AT_BOUND, np.maximum(-slope, 0.0), 0.0),
    }


def group_duals(found: Grouped, side: Array, objective: Objective) -> Array:
    """The duals of the rows that bound groups: what the common number lacks of theirs, (r,)."""
    if objective == "kl":
        apart = np.log(found.at / np.maximum(found.rows, FAINTEST))
    else:
        apart = 2 * (found.at - found.rows)
    return np.maximum(side * apart, 0.0)
