"""Convex programs solved to a precision that no run would pay for."""

from __future__ import annotations

from typing import Any
from unittest import mock

import numpy as np

from policies import programs
from policies.allocation.filling import Objective
from policies.signals import Array

PRECISE = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-12)
SAME = 1e-7


def distance(weights: Array, proposal: Array, objective: Objective) -> float:
    if objective == "euclidean":
        return float(np.square(weights - proposal).sum())
    some = weights > 0
    return float(weights[some] @ np.log(weights[some] / np.maximum(proposal[some], 1e-12)))


def precisely() -> Any:
    """While this lasts, programs are solved to twelve digits or not at all."""
    return mock.patch.object(programs, "SOLVERS", {"CLARABEL": PRECISE})


def check_same(found: Array, solved: Array, proposal: Array, objective: Objective) -> None:
    """Shares agree to 1e-7.

    Near the optimum distances are flat: twelve digits of them may be six of the shares. Where a
    program stops that early, what was found must be nearer to the proposal than its answer.
    """
    apart = float(np.abs(found - solved).max())
    nearer = distance(solved, proposal, objective) - distance(found, proposal, objective)
    assert apart < SAME or (apart < 10 * SAME and nearer > 0), (apart, nearer)
