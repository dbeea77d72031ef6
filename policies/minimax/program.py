"""The game between mixture and adversary as one convex program, solved exactly by cvxpy."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from policies import programs
from policies.minimax.game import Game, Solution, best_response, certified, in_units
from policies.nearest import nearest_within


class Program(NamedTuple):
    """A compiled program and what has to be filled in before it is solved."""

    problem: Any
    mixture: Any
    parameters: dict[str, Any]
    below_worst: Any


def solve(game: Game) -> Solution:
    """The mixture with the least value, and the adversary from the program's dual.

    Raises:
        RuntimeError: The solver did not reach an optimum.
    """
    effect, best = in_units(game)
    rows = game.target > 0
    if game.ambiguity == 0:  # The adversary has no choice: one language, the average of all.
        effect, best, rows = game.target @ effect, game.target @ best, np.ones(1, dtype=bool)
        effect, best = effect[None, :], best[None]
    ball = bool(0 < game.ambiguity < np.inf)
    program = _compiled(int(rows.sum()), len(game.prior), ball, game.inertia > 0)
    values = {
        "effect": effect[rows],
        "best": best[rows],
        "lower": game.lower,
        "upper": game.upper,
        "inertia": game.inertia,
        "pull": game.inertia * np.log(game.prior),
        "target": game.target[rows] if ball else None,
        "ambiguity": game.ambiguity,
    }
    for name, parameter in program.parameters.items():
        parameter.value = values[name]
    if not programs.solve(program.problem):
        raise RuntimeError(f"the minimax program was not solved: {program.problem.status}")
    mixture = nearest_within(np.maximum(program.mixture.value, 0.0), game.lower, game.upper)
    adversary = game.target
    if game.ambiguity > 0:
        dual = program.below_worst.dual_value
        adversary = np.zeros(len(rows))
        adversary[rows] = np.abs(dual[0] if ball else dual)
        adversary = adversary / adversary.sum()
    solution = certified(game, mixture, adversary)
    if game.inertia == 0:
        return solution
    # The divergence is flat near its optimum; the reply to the adversary finds it more exactly.
    reply = best_response(game, adversary @ in_units(game)[0])
    return min(solution, certified(game, reply, adversary), key=lambda one: one.value)


@lru_cache(maxsize=16)
def _compiled(num_languages: int, num_shares: int, ball: bool, inert: bool) -> Program:
    """The program for one size, with parameters for all that changes.

    Over the simplex the worst regret t bounds every regret. Over a ball of radius rho around the
    target it is ``min_nu,t  t + nu rho  s.t.  sum_i target_i nu exp((R_i - t) / nu) <= nu``, the
    dual of the adversary's problem.
    """
    cp = programs.load_cvxpy()
    mixture, worst = cp.Variable(num_shares), cp.Variable()
    parameters = {
        "effect": cp.Parameter((num_languages, num_shares)),
        "best": cp.Parameter(num_languages),
        "lower": cp.Parameter(num_shares, nonneg=True),
        "upper": cp.Parameter(num_shares, nonneg=True),
    }
    regret = parameters["best"] - parameters["effect"] @ mixture
    within = [
        cp.sum(mixture) == 1,
        mixture >= parameters["lower"],
        mixture <= parameters["upper"],
    ]
    cost: Any = worst
    if ball:
        parameters["target"] = cp.Parameter(num_languages, nonneg=True)
        parameters["ambiguity"] = cp.Parameter(nonneg=True)
        scale, level = cp.Variable(), cp.Variable(num_languages)
        ones = np.ones(num_languages)
        below_worst = cp.constraints.ExpCone(regret - worst * ones, scale * ones, level)
        within += [below_worst, parameters["target"] @ level <= scale]
        cost = worst + parameters["ambiguity"] * scale
    else:
        below_worst = regret <= worst
        within.append(below_worst)
    if inert:
        parameters["inertia"] = cp.Parameter(nonneg=True)
        parameters["pull"] = cp.Parameter(num_shares)
        # KL(mixture || prior), its parameters kept apart so that the program stays compiled.
        cost -= parameters["inertia"] * cp.sum(cp.entr(mixture)) + parameters["pull"] @ mixture
    return Program(cp.Problem(cp.Minimize(cost), within), mixture, parameters, below_worst)
