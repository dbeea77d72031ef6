"""MinimaxRegret: what it learns, and what must leave it unmoved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from policies import Task
from policies.contract import check_policy
from policies.minimax.federation import exchange, federated_regret
from policies.minimax.minimax_regret import MinimaxRegret
from policies.minimax.state import MinimaxState
from policies.signals import Array, Signal, ValidationLoss
from policies.synthetic import make_feedback, make_task

SHORT: dict[str, Any] = {"block": 1e-9, "min_pairs": 1}


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"model": "gradients"},
        {"model": "none", "solver": "play"},
        {"units": "own", "ambiguity": np.inf},
        {"ambiguity": 0.0, "max_groups": 2},
    ],
)
def test_contract(settings: dict[str, Any]) -> None:
    check_policy(MinimaxRegret(**SHORT, **settings), sizes=[1, 2, 13])


def test_contract_at_two_thousand_domains() -> None:
    check_policy(MinimaxRegret(**SHORT), sizes=[2000])


def planted_run(
    policy: MinimaxRegret,
    task: Task,
    transfer: Array,
    *,
    steps: int,
    noise: float = 0.0,
    common: float = 0.0,
    seed: int = 0,
) -> tuple[MinimaxState, list[Array]]:
    """A run whose losses fall by ``transfer @ realised shares / (step + 1)``, and by a constant."""
    loss, state, path = np.full(task.num_domains, 40.0), policy.init(task), []
    for step in range(steps):
        decision = policy.decide(state, step)
        path.append(decision.weights)
        feedback = make_feedback(task, decision.weights, step)
        shares = feedback.counts / feedback.counts.sum()
        loss = loss - transfer @ shares / (step + 1) - common
        error = noise * np.random.default_rng([seed, step]).normal(size=task.num_domains)
        measured = ValidationLoss(loss + error, loss + error, np.full_like(loss, noise))
        asked = {Signal.VALIDATION_LOSS: measured} if decision.signals else {}
        state = policy.update(state, replace(feedback, learning_rate=1e-3, signals=asked))
    return state, path


def even_task(size: int, steps: int, seed: int = 0) -> Task:
    share = np.full(size, 1 / size)
    return replace(make_task(size, seed=seed, total_steps=steps), prior=share, target=share)


HELPFUL = np.array(
    [
        [0.20, 0.30, 0.00, 0.00, 0.00, 0.00],
        [0.00, 0.20, 0.00, 0.00, 0.00, 0.00],
        [0.00, 0.30, 0.20, 0.00, 0.00, 0.00],
        [0.00, 0.00, 0.00, 0.20, 0.00, -0.3],
        [0.00, 0.30, 0.00, 0.00, 0.20, 0.00],
        [0.00, 0.00, 0.00, 0.00, 0.00, 0.20],
    ]
)


def test_the_sign_of_every_clear_effect_is_found_and_the_helpful_language_rises() -> None:
    task = even_task(6, 600)
    policy = MinimaxRegret(memory=1.0)
    state, path = planted_run(policy, task, HELPFUL, steps=600, noise=2e-4)
    found = policy.effects(state)
    planted = HELPFUL - HELPFUL.mean(axis=1, keepdims=True)
    clear = np.abs(found.value) > 2 * found.standard_error
    assert clear[HELPFUL >= 0.3].all()
    assert clear[HELPFUL == -0.3].all()
    wrong = clear & (np.sign(found.value) != np.sign(planted)) & (np.abs(planted) > 0.03)
    assert not wrong.any()
    assert path[-1].argmax() == 1
    assert path[-1][1] > 1.5 / 6


def test_standard_errors_tell_how_far_estimates_are_off() -> None:
    task, misses = even_task(6, 400), []
    policy = MinimaxRegret(memory=1.0, model="none", model_weight=1e-6, max_change=1.0001)
    for seed in range(8):
        noisy = replace(task, seed=seed)
        state, _ = planted_run(policy, noisy, HELPFUL, steps=400, noise=0.01, seed=seed)
        found = policy.effects(state)
        # The estimate is of the effect per block of 4 steps at the last pair's pace.
        scale = 4 / (397 - 4)
        planted = scale * (HELPFUL - HELPFUL.mean(axis=1, keepdims=True))
        misses.append((found.value - planted) / found.standard_error)
    assert 0.7 < np.sqrt(np.mean(np.square(misses))) < 1.3


def test_a_constant_added_to_every_reward_changes_nothing() -> None:
    task = even_task(6, 200)
    policy = MinimaxRegret(memory=0.99)
    _, path = planted_run(policy, task, HELPFUL, steps=200)
    _, other = planted_run(policy, task, HELPFUL, steps=200, common=0.05)
    assert np.abs(path[-1] - task.prior).max() > 0.01
    # Up to the accuracy of the solver.
    np.testing.assert_allclose(path, other, atol=1e-4)


def test_noise_alone_leaves_the_prior_nearly_in_force() -> None:
    task = replace(even_task(8, 400), prior=make_task(8).prior)
    moved = []
    for seed in range(4):
        policy = MinimaxRegret(caution=2.0)
        _, path = planted_run(
            policy, replace(task, seed=seed), np.zeros((8, 8)), steps=400, noise=0.01, seed=seed
        )
        pairs = (path[1::8][-1] + path[5::8][-1]) / 2
        moved.append(np.abs(pairs - task.prior).sum() / 2)
    assert np.mean(moved) < 0.12


def test_no_measurement_is_no_evidence() -> None:
    task = even_task(4, 100)
    state, path = planted_run(MinimaxRegret(), task, np.full((4, 4), np.nan), steps=100)
    assert state.pairs == 0
    np.testing.assert_allclose(state.mixture, 0.25)
    np.testing.assert_allclose(np.mean(path[1:97], axis=0), 0.25)


def test_blocks_of_a_pair_average_to_the_mixture() -> None:
    task = replace(make_task(7), total_steps=21)
    policy = MinimaxRegret(min_block_steps=5, min_pairs=1)
    state = policy.init(task)
    weights = np.array([policy.decide(state, step).weights for step in range(21)])
    np.testing.assert_allclose(weights[0], task.prior)
    np.testing.assert_allclose((weights[1] + weights[6]) / 2, task.prior)
    assert np.abs(weights[1] - weights[6]).max() > 0.05


def test_both_solvers_decide_alike() -> None:
    task = even_task(6, 120)
    paths = [
        planted_run(MinimaxRegret(solver=solver), task, HELPFUL, steps=120)[1]
        for solver in ("program", "play")
    ]
    np.testing.assert_allclose(paths[0], paths[1], atol=0.05)


def two_sites() -> tuple[MinimaxRegret, list[MinimaxState]]:
    policy = MinimaxRegret(memory=1.0, model="none", model_weight=1.0)
    runs = [
        planted_run(policy, even_task(6, 300, seed), HELPFUL, steps=300, noise=2e-3, seed=seed)
        for seed in (1, 2)
    ]
    return policy, [state for state, _ in runs]


def test_sites_know_more_together() -> None:
    policy, sites = two_sites()
    together = exchange(sites, [1.0, 1.0])
    errors = [policy.effects(site).standard_error.mean() for site in (*sites, together[0])]
    assert errors[2] < min(errors[:2]) * 0.85
    for one, other in zip(policy.effects(together[0]), policy.effects(together[1]), strict=True):
        scale = together[0].pace / together[1].pace
        np.testing.assert_allclose(one, scale * other, rtol=1e-8)


def test_exchange_replaces_what_was_exchanged_before() -> None:
    _, sites = two_sites()
    once = exchange(sites, [1.0, 3.0])
    twice = exchange(once, [1.0, 3.0])
    np.testing.assert_array_equal(once[0].others.cross, twice[0].others.cross)
    assert once[0].other_pairs == twice[0].other_pairs == sites[1].pairs > 0
    np.testing.assert_allclose(once[0].others.design, 3 * sites[1].moments.design)
    np.testing.assert_allclose(once[1].others.design, sites[0].moments.design / 3)


def test_regret_is_told_for_all_sites_and_for_each() -> None:
    policy, sites = two_sites()
    prior = sites[0].groups.prior
    sites = [site._replace(mixture=prior) for site in sites]
    regret = federated_regret(policy, sites, [1.0, 1.0], prior)
    assert regret.together.shape == (6,)
    assert len(regret.alone) == 2
    assert (regret.together >= 0).all()
    # At the prior those that language 1 helps regret most.
    assert set(np.argsort(regret.together)[-3:]) == {0, 2, 4}


@pytest.mark.parametrize("memory", [0.5, 1.0])
def test_the_first_move_comes_after_as_many_pairs_as_asked(memory: float) -> None:
    policy = MinimaxRegret(memory=memory, min_pairs=3, caution=0.0)
    _, path = planted_run(policy, even_task(6, 200), HELPFUL, steps=60, noise=1e-3)
    pairs = [(path[step] + path[step + 2]) / 2 for step in range(2, 58, 4)]
    moved = [bool(np.abs(pair - 1 / 6).max() > 1e-6) for pair in pairs]
    # The first pair is only compared with the next, so the third comparison is the fourth pair's.
    assert moved.index(True) == 4


def test_a_run_too_short_for_its_blocks_is_refused() -> None:
    with pytest.raises(ValueError, match="more than min_pairs = 4 pairs of blocks, got 2 pairs"):
        MinimaxRegret(block=0.2).init(even_task(4, 100))


def test_families_are_not_taken_for_single_languages() -> None:
    task = even_task(2, 100)
    families = {"b": ["d0001"], "a": ["d0000"]}
    state = MinimaxRegret(families=families).init(task)
    assert "transfer" not in MinimaxRegret(families=families).diagnostics(state)
    state = MinimaxRegret().init(task)
    assert MinimaxRegret().diagnostics(state)["transfer"].shape == (2, 2)  # type: ignore[union-attr]


def test_sites_must_fit_together() -> None:
    _, sites = two_sites()
    other = MinimaxRegret().init(even_task(5, 100))
    renamed = replace(even_task(6, 100), names=tuple("abcdef"))
    for stranger in (other, MinimaxRegret().init(renamed)):
        with pytest.raises(ValueError, match="same languages"):
            exchange([sites[0], stranger], [1.0, 1.0])
    with pytest.raises(ValueError, match="site_weights must be positive, one for each of 2"):
        exchange(sites, [1.0, 0.0])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"block": 0.0}, "block must be in"),
        ({"strength": 1.5}, "strength must be in"),
        ({"memory": 0.0}, "memory must be in"),
        ({"max_change": 1.0}, "max_change must be in"),
        ({"inertia": 0.0}, "inertia must be in"),
        ({"caution": -1.0}, "caution must be in"),
        ({"ambiguity": np.nan}, "ambiguity must not be negative"),
        ({"model_weight": np.inf}, "model_weight must be in"),
        ({"units": "nats"}, "units must be one of"),
        ({"model": "trees"}, "model must be one of"),
        ({"solver": "guess"}, "solver must be one of"),
        ({"min_block_steps": 0}, "min_block_steps must be at least 1"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MinimaxRegret(**settings)
