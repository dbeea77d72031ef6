"""The game between a mixture and an adversary who picks the languages that will count."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from policies.nearest import nearest_within
from policies.signals import Array
from policies.simplex import tilt


class Game(NamedTuple):
    """What is known when a mixture is to be chosen; k languages, g shares to choose.

    The value of a mixture p is ``max_l sum_i l_i R_i(p) + inertia KL(p || prior)`` over the
    adversary's weights l, where ``R_i(p) = (max_p' effect_i . p' - effect_i . p) / unit_i`` is the
    regret of language i (Carranza and Athey 2024, "Robust Offline Policy Learning with
    Observational Data from Multiple Sources", with languages for sources).

    Attributes:
        effect: Gain of each language per unit of each share, shape (k, g).
        prior: Where the mixture stays without evidence, positive, shape (g,).
        lower: Least shares, shape (g,).
        upper: Largest shares, shape (g,).
        target: The mixture of languages the adversary keeps near, shape (k,).
        ambiguity: How far it may go, as KL(l || target) in nats; infinite for the whole simplex
            over the languages that have a target.
        inertia: Price of leaving the prior, in units of regret per nat, not negative.
        own_units: Whether a language's regret counts in units of the most that it could gain on the
            prior within the bounds, or all count in units of what they could gain on average.
    """

    effect: Array
    prior: Array
    lower: Array
    upper: Array
    target: Array
    ambiguity: float = np.inf
    inertia: float = 0.0
    own_units: bool = True


class Solution(NamedTuple):
    """A mixture and the adversary against whom it is best.

    Attributes:
        mixture: Shape (g,).
        adversary: Weights of the languages, shape (k,).
        value: The game's value at the mixture, an upper bound of the least possible one.
        gap: How much less the least possible value can be; certified by the adversary.
    """

    mixture: Array
    adversary: Array
    value: float
    gap: float


def best_response(game: Game, gain: Array) -> Array:
    """The mixture within bounds with the largest ``gain . p - inertia KL(p || prior)``: (g,)."""
    if game.inertia > 0:
        return _pulled(game, gain / game.inertia)
    room, mixture = game.upper - game.lower, game.lower.copy()
    order = np.argsort(-gain, kind="stable")
    before = np.cumsum(room[order]) - room[order]
    mixture[order] += np.clip(1.0 - game.lower.sum() - before, 0.0, room[order])
    return mixture


def _pulled(game: Game, pull: Array) -> Array:
    """The mixture within bounds nearest to ``prior exp(pull)``, however hard it is pulled."""
    level = np.maximum(tilt(game.prior, pull), np.finfo(np.float64).tiny)
    return nearest_within(level, game.lower, game.upper)


def best_gains(game: Game) -> Array:
    """The most that each language could have within the bounds, by itself, shape (k,)."""
    room = game.upper - game.lower
    order = np.argsort(-game.effect, axis=1, kind="stable")
    sorted_room = room[order]
    before = np.cumsum(sorted_room, axis=1) - sorted_room
    taken = np.clip(1.0 - game.lower.sum() - before, 0.0, sorted_room)
    above_lower = (np.take_along_axis(game.effect, order, axis=1) * taken).sum(axis=1)
    best: Array = game.effect @ game.lower + above_lower
    return best


def in_units(game: Game) -> tuple[Array, Array]:
    """Effects and best gains of each language in its unit, shapes (k, g) and (k,)."""
    best = best_gains(game)
    unit = best - game.effect @ nearest_within(game.prior, game.lower, game.upper)
    if not game.own_units:
        unit = np.full_like(unit, float(game.target @ unit))
    # A language that nothing helps has no regret whatever is done: its unit does not matter.
    unit = np.where(unit > 1e-12 * np.abs(game.effect).max(initial=1e-300), unit, np.inf)
    return game.effect / unit[:, None], best / unit


def regrets(game: Game, mixture: Array) -> Array:
    """Regret of every language at a mixture, shape (k,)."""
    effect, best = in_units(game)
    regret: Array = np.maximum(best - effect @ mixture, 0.0)
    return regret


def divergence(mixture: Array, prior: Array) -> float:
    """KL(mixture || prior) in nats; the prior is positive wherever the mixture is."""
    positive = mixture > 0
    return float(mixture[positive] @ np.log(mixture[positive] / prior[positive]))


def worst_case(regret: Array, target: Array, ambiguity: float) -> Array:
    """The adversary's best weights against these regrets, shape (k,)."""
    if np.isinf(ambiguity):
        among = np.where(target > 0, regret, -np.inf)
        return np.asarray(np.arange(len(regret)) == int(np.argmax(among)), dtype=np.float64)
    spread = float(np.ptp(regret[target > 0]))
    if spread <= 0 or ambiguity <= 0:
        return target
    return _tilted_to_the_edge(regret, target, ambiguity, largest=1e6 / spread)


def _tilted_to_the_edge(regret: Array, target: Array, ambiguity: float, largest: float) -> Array:
    """``target exp(strength regret)`` at the strength, at most ``largest``, the ball allows."""
    if divergence(tilt(target, largest * regret), target) <= ambiguity:
        return tilt(target, largest * regret)
    centred = regret - float(target @ regret)
    low, high = 0.0, largest
    strength = float(np.sqrt(2 * ambiguity / max(float(target @ centred**2), 1e-300)))
    for attempt in range(80):
        if not low < strength < high or attempt > 15:
            strength = (low + high) / 2
        spent = divergence(tilt(target, strength * regret), target)
        if ambiguity * (1 - 1e-10) <= spent <= ambiguity:
            return tilt(target, strength * regret)
        low, high = (strength, high) if spent < ambiguity else (low, strength)
        # Near zero the divergence grows like the square of the strength.
        strength *= float(np.sqrt(ambiguity / max(spent, 1e-300)))
    return tilt(target, low * regret)


def certified(game: Game, mixture: Array, adversary: Array) -> Solution:
    """A solution with its value and a bound on how far it is from the least possible one."""
    effect, best = in_units(game)
    regret = np.maximum(best - effect @ mixture, 0.0)
    worst = float(worst_case(regret, game.target, game.ambiguity) @ regret)
    value = worst + game.inertia * divergence(mixture, game.prior)
    reply = best_response(game, adversary @ effect)
    bound = float(adversary @ (best - effect @ reply))
    bound += game.inertia * divergence(reply, game.prior)
    return Solution(mixture, adversary, value, max(value - bound, 0.0))


def play(game: Game, *, rounds: int = 4000, tolerance: float = 1e-3) -> Solution:
    """Solve the game by no-regret play: both sides learn, and their averages are the solution.

    Both follow the regularised leader with the optimistic guess that the next gains are the last
    ones, the adversary from the target on and the mixture from the prior (Rakhlin and Sridharan
    2013, arXiv 1311.1869; Syrgkanis et al. 2015, arXiv 1507.00407). The gap falls like
    (log k + log g) / rounds; play ends once it is at most ``tolerance``.
    """
    effect, best = in_units(game)
    rate = 2.0 / max(float(np.ptp(effect, axis=1).max(initial=0.0)), 1e-12)
    regret, gain = np.zeros(len(best)), np.zeros_like(game.prior)
    regret_sum, gain_sum = regret, gain
    mixtures, adversaries = np.zeros_like(game.prior), np.zeros(len(best))
    solution = certified(game, best_response(game, game.target @ effect), game.target)
    for number in range(1, rounds + 1):
        adversary = _leading_adversary(game, regret_sum + regret, rate)
        pull = (gain_sum + gain) / (1 / rate + game.inertia * number)
        mixture = _pulled(game, pull)
        regret, gain = best - effect @ mixture, adversary @ effect
        regret_sum, gain_sum = regret_sum + regret, gain_sum + gain
        mixtures, adversaries = mixtures + mixture, adversaries + adversary
        if number % 50 == 0:
            found = certified(game, mixtures / number, adversaries / number)
            solution = min(solution, found, key=lambda one: one.gap)
            if solution.gap <= tolerance:
                break
    return solution


def _leading_adversary(game: Game, total: Array, rate: float) -> Array:
    leader = tilt(game.target, rate * total)
    if np.isinf(game.ambiguity) or divergence(leader, game.target) <= game.ambiguity:
        return leader
    return _tilted_to_the_edge(total, game.target, game.ambiguity, largest=rate)
