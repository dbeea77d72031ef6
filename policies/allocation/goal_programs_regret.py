"""The feasible mixture with the least worst regret, as one convex program compiled once."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from policies import programs
from policies.allocation.feasible_set import FeasibleSet, Limits
from policies.allocation.program import Answer, FeasibleMixture, NearestProgram
from policies.goals import WorstRegret
from policies.minimax.game import Game, in_units
from policies.signals import Array
from policies.simplex import tilt


class Shape(NamedTuple):
    """What a program is compiled for.

    Attributes:
        languages: How many the adversary may pick from.
        ball: Whether it stays in a ball around the target.
        inert: Whether leaving the prior has a price.
    """

    languages: int
    ball: bool
    inert: bool


def shape_of(game: Game) -> Shape:
    """The shape of the program that solves a game."""
    languages = 1 if game.ambiguity == 0 else int((game.target > 0).sum())
    return Shape(languages, bool(0 < game.ambiguity < np.inf), game.inertia > 0)


class RegretProgram:
    """Minimises the worst regret t, or over a ball of radius rho around the target its dual.

    ``min_nu,t  t + nu rho  s.t.  sum_i target_i nu exp((R_i - t) / nu) <= nu``, as in
    `policies.minimax.program`, which has only bounds to keep.
    """

    def __init__(self, feasible: FeasibleSet, shape: Shape) -> None:
        cp = programs.load_cvxpy()
        self._shape = shape
        self._nearest = NearestProgram(feasible, "kl")
        self._mixture = FeasibleMixture(feasible)
        mixture, worst = self._mixture.variable, cp.Variable()
        given = {
            "effect": cp.Parameter((shape.languages, mixture.size)),
            "best": cp.Parameter(shape.languages),
        }
        regret = given["best"] - given["effect"] @ mixture
        cost: Any = worst
        if shape.ball:
            given["target"] = cp.Parameter(shape.languages, nonneg=True)
            given["ambiguity"] = cp.Parameter(nonneg=True)
            scale, level = cp.Variable(), cp.Variable(shape.languages)
            ones = np.ones(shape.languages)
            self._below = cp.constraints.ExpCone(regret - worst * ones, scale * ones, level)
            within = [self._below, given["target"] @ level <= scale]
            cost = worst + given["ambiguity"] * scale
        else:
            self._below = regret <= worst
            within = [self._below]
        if shape.inert:
            given["inertia"], given["pull"] = cp.Parameter(nonneg=True), cp.Parameter(mixture.size)
            cost -= given["inertia"] * cp.sum(cp.entr(mixture)) + given["pull"] @ mixture
        self._given = given
        within += self._mixture.constraints
        self._problem = cp.Problem(cp.Minimize(cost), within)

    def solve(self, game: Game, limits: Limits, previous: Array | None) -> Answer | None:
        """The best mixture, or None if there is none or the solvers fail."""
        effect, best = in_units(game)
        rows = game.target > 0
        if game.ambiguity == 0:  # The adversary has no choice: one language, the average of all.
            effect, best = (game.target @ effect)[None, :], np.array([game.target @ best])
            rows = np.ones(1, dtype=bool)
        values = {
            "effect": effect[rows],
            "best": best[rows],
            "target": game.target[rows] if self._shape.ball else None,
            "ambiguity": game.ambiguity,
            "inertia": game.inertia,
            "pull": game.inertia * np.log(game.prior),
        }
        for name, parameter in self._given.items():
            parameter.value = values[name]
        self._mixture.fill(limits, previous)
        if not programs.solve(self._problem):
            return None
        answer = self._mixture.answer(self._problem)
        if not self._shape.inert:
            return answer
        return self._sharpened(answer, game, effect[rows], limits, previous)

    def _sharpened(
        self, answer: Answer, game: Game, effect: Array, limits: Limits, previous: Array | None
    ) -> Answer:
        """The answer or the feasible reply to its adversary, whichever has the lesser value.

        The divergence is flat near its optimum. The mixture that makes ``gain . p - inertia KL(p ||
        prior)`` largest is the nearest one to ``prior exp(gain / inertia)``, found more exactly.
        """
        dual = self._below.dual_value
        adversary = np.abs(dual[0] if self._shape.ball else dual)
        if not adversary.sum() > 0:
            return answer
        gain = adversary @ effect / float(adversary.sum())
        pulled = tilt(game.prior, gain / game.inertia)
        reply = self._nearest.solve(pulled, limits, previous)
        if reply is None:
            return answer
        goal = WorstRegret(game)
        both = [programs.on_simplex(one.weights) for one in (answer, reply)]
        return answer._replace(weights=min(both, key=goal.value))
