"""The minimax game: two solvers that agree, and answers known by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.minimax.game import (
    Game,
    best_gains,
    best_response,
    certified,
    divergence,
    play,
    regrets,
    worst_case,
)
from policies.minimax.program import solve


def random_game(
    seed: int, languages: int, shares: int, *, ambiguity: float, inertia: float, own_units: bool
) -> Game:
    generator = np.random.default_rng([seed, languages, shares])
    prior = generator.dirichlet(np.full(shares, 3.0))
    return Game(
        effect=generator.normal(size=(languages, shares)),
        prior=prior,
        lower=prior / 4,
        upper=np.minimum(prior * 4, 1.0),
        target=generator.dirichlet(np.ones(languages)),
        ambiguity=ambiguity,
        inertia=inertia,
        own_units=own_units,
    )


@pytest.mark.parametrize("own_units", [True, False])
@pytest.mark.parametrize("inertia", [0.0, 0.1])
@pytest.mark.parametrize("ambiguity", [np.inf, 0.5, 0.0])
@pytest.mark.parametrize(("languages", "shares"), [(1, 1), (3, 3), (13, 13), (50, 16)])
def test_program_and_play_agree_within_the_stated_gap(
    languages: int, shares: int, ambiguity: float, inertia: float, own_units: bool
) -> None:
    game = random_game(
        0, languages, shares, ambiguity=ambiguity, inertia=inertia, own_units=own_units
    )
    exact, played = solve(game), play(game, tolerance=0.01)
    assert exact.gap < 1e-6
    assert played.gap < 0.02
    assert -1e-6 <= played.value - exact.value <= played.gap + 1e-6


@settings(max_examples=20)
@given(st.integers(0, 1000))
def test_no_mixture_is_better_than_the_solution(seed: int) -> None:
    game = random_game(seed, 5, 6, ambiguity=np.inf, inertia=0.05, own_units=True)
    exact = solve(game)
    generator = np.random.default_rng(seed)
    for mixture in generator.dirichlet(200 * game.prior, 100):
        if ((mixture < game.lower) | (mixture > game.upper)).any():
            continue
        value = regrets(game, mixture).max() + game.inertia * divergence(mixture, game.prior)
        assert value >= exact.value - 1e-6


def test_two_languages_that_want_opposite_things_meet_in_the_middle() -> None:
    game = Game(
        effect=np.eye(2) * [1.0, 3.0],
        prior=np.full(2, 0.5),
        lower=np.zeros(2),
        upper=np.ones(2),
        target=np.full(2, 0.5),
    )
    np.testing.assert_allclose(solve(game).mixture, 0.5, atol=1e-6)  # Each in its own units.
    np.testing.assert_allclose(best_gains(game), [1.0, 3.0])
    # In bits per byte the second has three times as much to lose: 1 - p and 3 p meet at 1/4.
    solution = solve(game._replace(own_units=False))
    np.testing.assert_allclose(solution.mixture, [0.25, 0.75], atol=1e-6)
    np.testing.assert_allclose(solution.adversary, [0.75, 0.25], atol=1e-6)
    assert abs(solution.value - 0.75) < 1e-6


@pytest.mark.parametrize("solver", [solve, play])
def test_without_effects_the_prior_stays(solver: object) -> None:
    game = random_game(3, 4, 5, ambiguity=np.inf, inertia=0.1, own_units=True)
    solution = solver(game._replace(effect=np.zeros((4, 5))))  # type: ignore[operator]
    np.testing.assert_allclose(solution.mixture, game.prior, atol=1e-6)
    assert solution.value < 1e-8


def test_a_constant_on_a_language_changes_nothing() -> None:
    game = random_game(4, 4, 5, ambiguity=np.inf, inertia=0.1, own_units=True)
    other = game._replace(effect=game.effect + np.arange(4.0)[:, None])
    np.testing.assert_allclose(solve(game).mixture, solve(other).mixture, atol=1e-6)


@pytest.mark.parametrize("ambiguity", [1e-6, 0.1, 0.7])
def test_the_adversary_goes_to_the_edge_of_its_ball_and_no_further(ambiguity: float) -> None:
    generator = np.random.default_rng(0)
    regret, target = generator.uniform(size=20), generator.dirichlet(np.ones(20))
    worst = worst_case(regret, target, ambiguity)
    assert abs(divergence(worst, target) - ambiguity) < 1e-8
    for other in generator.dirichlet(50 * target + 0.1, 500):
        if divergence(other, target) <= ambiguity:
            assert other @ regret <= worst @ regret + 1e-9


def test_a_ball_of_no_size_is_the_target_and_a_huge_one_the_worst_language() -> None:
    regret, target = np.array([0.1, 0.5, 0.9]), np.array([0.5, 0.5, 0.0])
    np.testing.assert_array_equal(worst_case(regret, target, 0.0), target)
    # A language without a target never counts.
    np.testing.assert_array_equal(worst_case(regret, target, np.inf), [0, 1, 0])
    np.testing.assert_allclose(worst_case(regret, target, 50.0), [0, 1, 0], atol=1e-6)


def test_best_response_fills_the_best_shares_first() -> None:
    game = random_game(5, 3, 4, ambiguity=np.inf, inertia=0.0, own_units=False)
    gain = np.array([0.0, 3.0, 2.0, 1.0])
    response = best_response(game, gain)
    assert abs(response.sum() - 1) < 1e-12
    assert (response <= game.upper).all()
    full = response[1] == game.upper[1]
    assert full or (response[[0, 2, 3]] == game.lower[[0, 2, 3]]).all()
    assert response @ gain >= game.prior @ gain


def test_a_certificate_bounds_any_pair_of_strategies() -> None:
    game = random_game(6, 5, 5, ambiguity=np.inf, inertia=0.0, own_units=True)
    least = solve(game).value
    loose = certified(game, game.prior, game.target)
    assert loose.value - loose.gap <= least + 1e-9 <= loose.value + 1e-9
