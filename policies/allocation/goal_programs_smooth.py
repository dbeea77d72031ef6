"""The feasible mixture with the least value of a smooth goal, by a few quadratic programs."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies import programs
from policies.allocation.feasible_set import FeasibleSet, Limits
from policies.allocation.program import Answer, FeasibleMixture, NearestProgram
from policies.goals import SmoothGoal
from policies.signals import Array

# Programs to the optimum at most; five are usual.
STEPS = 40
# What part of its reach a share may fall by in one step.
NEARER = 0.9
# Slope of the value along a move, over that at its start, at which a shorter move is better.
TURNED = 0.1
SHORTEST = 1e-3
# Values are counted in what moving every domain by its own share would change them by, and a
# program's objective is so many times that: a solver's absolute accuracy then settles shares to
# about 1e-8.
ACCURACY = 1e4
# The search ends with the move from where it is proved, or looks, to be this near to the optimum:
# a move about squares it.
SETTLED, PROMISING = 1e-6, 1e-14
# An answer counts that is proved to be this near.
CERTIFIED = 1e-3
# A domain that may have no more counts for nothing: its value might be infinite.
NOTHING = 1e-12


class _Move(NamedTuple):
    """Where a program goes.

    Attributes:
        by: Change of every share, shape (k,).
        promise: How much lower the value would be if the program's model of it were right.
        gap: How much lower than before the move any feasible mixture's value can be.
        answer: The program's own, with the duals.
    """

    by: Array
    promise: float
    gap: float
    answer: Answer


class SmoothProgram:
    """Minimises a smooth convex function by a few quadratic programs, all of them compiled as one.

    Powers whose exponents change cannot be parameters of a compiled program, but slopes and
    curvatures can. Each program minimises ``slope . d + d . curvature d / 2`` over the moves d to
    feasible mixtures (Newton's method, with the constraints kept exactly), and the search goes
    along the best move as far as the value falls. It starts at the mixture nearest to the proposal,
    so that it ends nowhere worse than that.
    """

    def __init__(self, feasible: FeasibleSet) -> None:
        cp = programs.load_cvxpy()
        self._nearest = NearestProgram(feasible, "kl")
        self._mixture = FeasibleMixture(feasible)
        mixture = self._mixture.variable
        size = mixture.size
        self._pull, self._centre = cp.Parameter(size), cp.Parameter(size)
        self._root, self._least = cp.Parameter(size, nonneg=True), cp.Parameter(size)
        model = cp.sum_squares(cp.multiply(self._root, mixture) - self._centre) / 2
        self._near = mixture >= self._least
        within = [*self._mixture.constraints, self._near]
        self._problem = cp.Problem(cp.Minimize(self._pull @ mixture + model), within)

    def solve(
        self, goal: SmoothGoal, proposal: Array, limits: Limits, previous: Array | None
    ) -> Answer | None:
        """The best mixture, or None if there is none or the solvers fail."""
        nearest = self._nearest.solve(proposal, limits, previous)
        if nearest is None:
            return None
        self._mixture.fill(limits, previous)
        weights = programs.on_simplex(nearest.weights)
        counts = limits.ceiling > NOTHING
        for step in range(STEPS):
            slope = np.where(counts, goal.slope(weights), 0.0)
            curvature = np.where(counts, goal.curvature(weights), 0.0)
            unit = float(weights @ (np.abs(slope) + curvature * weights))
            if not 0 < unit < np.inf:
                return None
            reach = np.where(counts, NEARER * goal.reach(weights), np.inf)
            self._least.value = np.maximum(weights - reach, 0.0)
            move = self._move(weights, slope, curvature, unit)
            if move is None:
                return None
            done = move.promise <= PROMISING * unit
            if move.gap <= SETTLED * unit or (done and step > 0):
                return move.answer if move.gap <= CERTIFIED * unit else None
            # A start that is the best but for keeping the constraints only nearly is put right.
            weights = move.answer.weights if done else _along(goal, weights, move.by, slope, counts)
        return None

    def _move(self, weights: Array, slope: Array, curvature: Array, unit: float) -> _Move | None:
        """The best move by the quadratic model of the value; None where the solvers fail."""
        scale = ACCURACY / unit
        root = np.sqrt(scale * curvature)
        self._root.value, self._centre.value = root, root * weights
        self._pull.value = scale * (slope - slope @ weights)
        if not programs.solve(self._problem):
            return None
        answer = self._mixture.answer(self._problem, scale)
        by = answer.weights - weights
        bent = curvature * by
        # The program's optimum is that of a linear function, too: ``slope + bent`` less the push of
        # what keeps the model valid. So no mixture's value is lower than by these three.
        pushed = float(self._near.dual_value @ answer.weights) / scale
        return _Move(
            by=by,
            promise=-float(slope @ by + by @ bent / 2),
            gap=-float(slope @ by) + float(np.ptp(bent)) + pushed,
            answer=answer._replace(weights=np.maximum(answer.weights, 0.0)),
        )


def _along(
    goal: SmoothGoal, weights: Array, by: Array, slope: Array, counts: NDArray[np.bool_]
) -> Array:
    """The mixture as far along a move as the value falls, but for a little, shape (k,)."""
    part = 1.0
    while part > SHORTEST:
        ahead = np.maximum(weights + part * by, 0.0)
        there = np.where(counts, goal.slope(ahead), 0.0)
        if np.isfinite(there).all() and there @ by <= -TURNED * float(slope @ by):
            return ahead
        part /= 2
    return weights
