from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple, final

import numpy as np
import pytest
from small_scenarios import small

from policies import UCB, Decision, Feedback, Fixed, Policy, Proportional, Task, Uniform, UniMax
from policies.signals import Signal
from policies.simulator.optimum import find_optimum
from policies.simulator.play import play, table
from policies.simulator.scenario import Scenario
from policies.simulator.scenarios import load_scenario


class Heard(NamedTuple):
    last: int


@final
@dataclass(frozen=True, kw_only=True)
class Listener(Policy):
    """Keeps the prior, and fails unless feedback comes exactly ``delay`` steps late."""

    delay: int

    @property
    def signals(self) -> frozenset[Signal]:
        return frozenset({Signal.VALIDATION_LOSS})

    def init(self, task: Task) -> Heard:
        return Heard(-1)

    def decide(self, state: Heard, step: int) -> Decision:
        assert state.last == max(step - 1 - self.delay, -1)
        return Decision(np.full(4, 0.25), self.signals if step % 10 == 0 else frozenset())

    def update(self, state: Heard, feedback: Feedback) -> Heard:
        assert feedback.step == state.last + 1
        assert (feedback.validation_loss is not None) == (feedback.step % 10 == 0)
        return Heard(feedback.step)


@cache
def drifting_small() -> Scenario:
    return small(4, parts=2)


@pytest.mark.parametrize("delay", [0, 1, 3])
def test_feedback_comes_late(delay: int) -> None:
    played = play(Listener(delay=delay), small(4), delay=delay)
    assert played.measured == 4


@pytest.mark.parametrize("policy", [UCB(), Uniform(), Proportional(), UniMax()])
def test_nobody_beats_the_plan(policy: Policy) -> None:
    scenario = replace(drifting_small(), noise=np.zeros(4))
    optimum = find_optimum(scenario)
    played = play(policy, scenario)
    assert played.average_regret >= -1e-6
    assert played.worst_regret >= optimum.worst_planned.value - 1e-4
    static = type(policy).update is Policy.update
    if static:  # Rounding to whole sequences makes a path that only nearly is one mixture.
        assert played.average_loss >= optimum.average_fixed.value - 1e-4


def test_playing_the_plan_attains_it() -> None:
    scenario = drifting_small()
    optimum = find_optimum(scenario)
    mixtures = optimum.average_planned.mixtures
    weights = {
        20 * part: dict(zip(scenario.domains, mixtures[part].tolist(), strict=True))
        for part in range(2)
    }
    assert abs(play(Fixed(weights=weights), scenario).average_regret) < 1e-3


def test_uniform_is_best_where_all_are_alike() -> None:
    scenario = load_scenario("independent")
    unique = np.full(8, scenario.unique_tokens.mean())
    played = play(Uniform(), replace(scenario, unique_tokens=unique))
    assert abs(played.average_regret) < 1e-6


def test_what_came_of_a_run_fits_together() -> None:
    scenario = small(4)
    played = play(UCB(), scenario, seed=3, points=7)
    assert played.weights_path.shape == played.losses_path.shape == (7, 4)
    assert played.steps.tolist() == [0, 6, 13, 20, 26, 32, 39]
    np.testing.assert_array_equal(played.losses_path[-1], played.losses)
    assert abs(played.mean_weights.sum() - 1) < 1e-9
    regret = played.losses - find_optimum(scenario).alone
    assert played.worst_regret == regret.max()
    assert played.worst_domain == regret.argmax()
    assert played.average_loss == pytest.approx(scenario.target @ played.losses)
    again = play(UCB(), scenario, seed=3, points=7)
    np.testing.assert_array_equal(again.weights_path, played.weights_path)


def test_domains_that_do_not_count_have_no_regret() -> None:
    scenario = small(4, tau=np.eye(4))
    assert play(Proportional(), scenario).worst_domain == 3
    some = replace(scenario, target=np.array([0.5, 0.5, 0.0, 0.0]))
    assert play(Proportional(), some).worst_domain == 1


def test_a_table_has_every_policy_and_the_best() -> None:
    scenario = small(4)
    played: dict[str, Any] = {
        "Uniform": [play(Uniform(), scenario)],
        "UCB": [play(UCB(), scenario, seed) for seed in range(3)],
    }
    lines = table(scenario, played).splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    assert [row[0] for row in cells] == ["", "---", "best mixture", "Uniform", "UCB"]
    assert cells[3][1] == f"{played['Uniform'][0].average_loss:.4f}"
    values = np.array([run.average_loss for run in played["UCB"]])
    half = 4.30265 * values.std(ddof=1) / np.sqrt(3)
    assert cells[4][1] == f"{values.mean():.4f} ± {half:.4f}"
    assert len({len(line) for line in lines}) == 1


def test_a_plan_is_shown_where_it_can_be_better_than_a_mixture() -> None:
    scenario = drifting_small()
    assert "| best plan " in table(scenario, {"Uniform": [play(Uniform(), scenario)]})


def test_the_path_shows_means_between_its_points() -> None:
    played = play(UCB(), small(4), points=5)
    widths = np.diff(played.steps, prepend=-1)
    np.testing.assert_allclose(widths @ played.weights_path / 40, played.mean_weights)


@pytest.mark.parametrize(
    ("options", "message"),
    [({"delay": -1}, "delay must not be negative"), ({"points": 0}, "points must be at least 1")],
)
def test_play_refuses(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        play(Uniform(), small(2), **options)


def test_weights_that_are_no_mixture_are_refused() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Broken(Policy):
        def init(self, task: Task) -> Heard:
            return Heard(0)

        def decide(self, state: Heard, step: int) -> Decision:
            return Decision(np.array([0.5, 0.6]))

    with pytest.raises(ValueError, match="weights at step 0 must sum to one"):
        play(Broken(), small(2))
