"""From effects with their errors to the next mixture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from policies.estimators.effects import Effects
from policies.minimax.game import Game, Solution, play, regrets
from policies.minimax.program import solve
from policies.signals import Array

# Beyond, the program's exponential cones take seconds, and play gets close in less.
MANY_LANGUAGES = 256
# Play ends at this part of what languages could gain on average.
TOLERANCE = 0.01


class Choice(NamedTuple):
    """A game's outcome.

    Attributes:
        regret: Regret of every language at the chosen mixture, in the game's units, shape (k,).
        adversary: The weights of languages it is best against, shape (k,).
        gap: How much less the game's value might be at most, in those units.
        solved: Games solved so far.
        failed: Those of them that the program did not solve, and play did.
    """

    regret: Array
    adversary: Array
    gap: float
    solved: int
    failed: int


def cautious(effect: Effects, caution: float) -> Array:
    """Effects as far as they exceed so many standard errors, shape (k, g); else zero."""
    known = np.isfinite(effect.standard_error)
    doubt = caution * np.where(known, effect.standard_error, 0.0)
    beyond = np.maximum(np.abs(effect.value) - doubt, 0.0)
    return np.where(known, np.copysign(beyond, effect.value), 0.0)


def choose(game: Game, solver: str, before: Choice) -> tuple[Array, Choice]:
    """The mixture that the game asks for, shape (g,), and what there is to say about it."""
    failed = before.failed
    solution: Solution | None = None
    if solver == "program" and len(game.target) <= MANY_LANGUAGES:
        try:
            solution = solve(game)
        except RuntimeError:
            failed += 1
    if solution is None:
        solution = play(game, tolerance=TOLERANCE)
    choice = Choice(
        regret=regrets(game, solution.mixture),
        adversary=solution.adversary,
        gap=solution.gap,
        solved=before.solved + 1,
        failed=failed,
    )
    return solution.mixture, choice
