"""Nearest mixtures under few constraints that couple domains, by Newton's method on their duals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from policies.allocation.filling import FAINTEST, NOTHING, Objective
from policies.signals import Array

# By how much the mixture that is found may break a constraint, or fall short of one with a dual.
PRECISE = 1e-12
# Steps until the method gives up; some ten are usual.
STEPS = 200
HALVINGS = 40
# Longest step of a multiplier at first: further away nothing is known of exponentials.
STRIDE = 4.0
# A multiplier that is nearer to zero than this, and to be less, is taken for zero in a step.
NEAR = 1e-2
# What rounding does to the dual's value, and a part of the largest curvature that is taken for 0.
NOISE = 1e-14
FLAT = 1e-12
# Part of the curvature that is added to it, per share by which constraints are still broken.
DAMPING = 1e-5
# By how much a dual function must exceed every distance to say so.
FURTHER = 1e-6
# Part of the rise that the slope promises with which a step is content.
ENOUGH = 1e-4


class Coupled(NamedTuple):
    """The nearest mixture to ``level`` within bounds and some inequalities.

    Attributes:
        objective: Which distance.
        level: The proposal, shape (k,); positive for "kl".
        lower: Shape (k,).
        upper: Shape (k,).
        matrix: Inequalities ``matrix @ p <= bound``, shape (r, k).
        bound: Shape (r,).
        previous: The last mixture, shape (k,), not negative.
        change: Largest total variation from the last mixture; infinite without a limit.
        divergence: Largest divergence from it in nats, likewise; only for "kl".
    """

    objective: Objective
    level: Array
    lower: Array
    upper: Array
    matrix: Array
    bound: Array
    previous: Array
    change: float
    divergence: float


class Multipliers(NamedTuple):
    """A solution.

    Attributes:
        weights: Shape (k,).
        bound: Duals of the inequalities, shape (r,).
        change: Dual of the total variation.
        divergence: Dual of the divergence.
        slope: How the rest of the Lagrangian rises in each entry, by which its bounds' duals are
            known, shape (k,).
    """

    weights: Array
    bound: Array
    change: float
    divergence: float
    slope: Array


class _Point(NamedTuple):
    """The minimum of the Lagrangian for some multipliers, and what the dual function is there."""

    weights: Array
    value: float
    excess: Array
    free: Array


class _Lagrangian:
    """Multipliers of: the sum, the rows, the total variation, the divergence, as far as there are.

    Every entry of the mixture that minimises the Lagrangian follows from the multipliers alone: a
    level times (for "euclidean", plus) what its rows make of it, held at its last value as long as
    the total variation makes a move too dear, cut off at its bounds.
    """

    def __init__(self, problem: Coupled) -> None:
        self.problem = problem
        rows = len(problem.bound)
        self.moves = bool(np.isfinite(problem.change))
        self.diverges = bool(np.isfinite(problem.divergence))
        ones = np.ones((1, len(problem.level)))
        self.lines = np.concatenate([ones, problem.matrix]) if rows else ones
        self.limit = np.concatenate([[1.0], problem.bound])
        self.size = 1 + rows + self.moves + self.diverges
        self.kl = problem.objective == "kl"
        self.log_level = np.log(problem.level) if self.kl else problem.level
        self.before = np.log(np.maximum(problem.previous, FAINTEST)) if self.diverges else None
        # What no mixture's distance is beyond.
        self.furthest = FURTHER + (-1.0 - float(self.log_level.min()) if self.kl else 2.0)

    def split(self, multipliers: Array) -> tuple[Array, float, float]:
        """Of the lines, of the total variation and of the divergence."""
        count = len(self.limit)
        change = float(multipliers[count]) if self.moves else 0.0
        return multipliers[:count], change, float(multipliers[-1]) if self.diverges else 0.0

    def at(self, multipliers: Array) -> _Point:
        """Its minimum over all mixtures within the bounds."""
        problem = self.problem
        lines, change, divergence = self.split(multipliers)
        pull = lines @ self.lines
        if self.kl:
            center = self.log_level - pull
            if self.before is not None:
                center = (center + divergence * self.before) / (1 + divergence)
            dear = change / 2 / (1 + divergence)
            # Shares are at most one: more than e need not be told apart.
            wanted = np.exp(np.minimum(center - dear, 1.0))
            rest = np.exp(np.minimum(center + dear, 1.0)) if self.moves else wanted
        else:
            wanted = problem.level - (pull + change / 2) / 2
            rest = wanted + change / 2
        if self.moves:
            wanted = np.minimum(np.maximum(problem.previous, wanted), rest)
        weights: Array = np.minimum(np.maximum(wanted, problem.lower), problem.upper)
        free = weights == wanted
        if self.moves:
            free &= weights != problem.previous
        excess = np.empty(self.size)
        excess[: len(self.limit)] = self.lines @ weights - self.limit
        if self.moves:
            moved = float(np.add.reduce(np.abs(weights - problem.previous))) / 2
            excess[len(self.limit)] = moved - problem.change
        some = np.maximum(weights, NOTHING)
        if self.before is not None:
            diverged = float(weights @ (np.log(some) - self.before)) - float(weights.sum()) + 1
            excess[-1] = diverged - problem.divergence
        if self.kl:
            distance = float(weights @ (np.log(some) - self.log_level)) - float(weights.sum())
        else:
            distance = float(np.square(weights - problem.level).sum())
        return _Point(weights, distance + float(multipliers @ excess), excess, free)

    def curvature(self, multipliers: Array, point: _Point) -> Array:
        """Minus the second derivatives of the dual function, shape (n, n)."""
        _, _, divergence = self.split(multipliers)
        free = point.free
        weights = point.weights[free]
        lines = [self.lines[:, free]]
        if self.moves:
            lines.append(np.sign(weights - self.problem.previous[free])[None] / 2)
        if self.before is not None:
            lines.append((np.log(np.maximum(weights, NOTHING)) - self.before[free])[None])
        slopes = np.concatenate(lines) if len(lines) > 1 else lines[0]
        bend = weights / (1 + divergence) if self.kl else np.full(len(weights), 0.5)
        result: Array = (slopes * bend) @ slopes.T
        return result


def solve(problem: Coupled) -> Multipliers | None:
    """Maximise the dual function, projected Newton steps up to rounding (Bertsekas 1982).

    What comes out is certified by itself: the mixture minimises the Lagrangian, its multipliers
    are not negative, and it breaks no constraint, nor falls short of one with a multiplier, by more
    than `PRECISE`. So it is the optimum under limits that differ from the given ones by no more.

    Returns:
        None where no step leads on: there is no such mixture, or rounding is in the way.
    """
    lagrangian = _Lagrangian(problem)
    multipliers, stride = np.zeros(lagrangian.size), STRIDE
    point = lagrangian.at(multipliers)
    for _ in range(STEPS):
        # A multiplier at zero whose constraint is kept stays there.
        loose = (multipliers <= 0) & (point.excess <= 0)
        loose[0] = False
        broken = float(np.abs(np.where(loose, 0.0, point.excess)).max())
        if broken <= PRECISE:
            return _solution(lagrangian, multipliers, point)
        if point.value > lagrangian.furthest:
            return None  # No mixture is as far away as the nearest one should be.
        try:
            step = _direction(lagrangian, multipliers, point, min(broken, NEAR))
        except np.linalg.LinAlgError:
            return None
        longest = float(np.abs(step).max())
        step = step * min(1.0, stride / max(longest, stride))
        found = _search(lagrangian, multipliers, point, step)
        if found is None:
            return None
        if longest > stride:
            stride *= 2
        multipliers, point = found
    return None


def _direction(lagrangian: _Lagrangian, multipliers: Array, point: _Point, near: float) -> Array:
    """Newton's step, shape (n,); those that are nearly zero and fall go to zero without it."""
    held = (multipliers <= near) & (point.excess <= 0)
    held[0] = False
    moves = 1.0 - held
    curvature = lagrangian.curvature(multipliers, point) * moves[:, None] * moves
    wanted = point.excess * moves
    diagonal = curvature.diagonal()
    scale = np.maximum(diagonal, FLAT * max(float(diagonal.max()), FLAT))
    # Where constraints repeat each other there is no curvature, only less of it than rounding.
    damping = max(FLAT, DAMPING * float(np.abs(wanted).max()))
    curvature.flat[:: len(held) + 1] += np.where(held, 1.0, damping * scale)
    step: Array = np.linalg.solve(curvature, wanted - multipliers * held)
    return step


def _search(
    lagrangian: _Lagrangian, multipliers: Array, point: _Point, step: Array
) -> tuple[Array, _Point] | None:
    """The first halving of a step that raises the dual function by enough."""
    part = 1.0
    for _ in range(HALVINGS):
        moved = multipliers + part * step
        moved[1:] = np.maximum(moved[1:], 0.0)
        there = lagrangian.at(moved)
        promised = ENOUGH * float(point.excess @ (moved - multipliers))
        if there.value >= point.value + promised - NOISE * (1 + abs(point.value)):
            return moved, there
        part /= 2
    return None


def _solution(lagrangian: _Lagrangian, multipliers: Array, point: _Point) -> Multipliers:
    """The point and what its multipliers leave to the bounds."""
    problem, weights = lagrangian.problem, point.weights
    lines, change, divergence = lagrangian.split(multipliers)
    if lagrangian.kl:
        slope = np.log(np.maximum(weights, NOTHING)) - lagrangian.log_level
    else:
        slope = 2 * (weights - problem.level)
    slope = slope + lines @ lagrangian.lines
    if lagrangian.before is not None:
        slope = slope + divergence * (np.log(np.maximum(weights, NOTHING)) - lagrangian.before)
    if lagrangian.moves:
        # At the last value any slope between these two is one of the total variation.
        side = np.sign(weights - problem.previous)
        at_rest = np.clip(-slope, -change / 2, change / 2)
        slope = slope + np.where(side == 0, at_rest, side * change / 2)
    return Multipliers(weights, lines[1:], change, divergence, slope)
