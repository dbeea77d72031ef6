"""Statistics of paired runs against numbers worked out by hand, and their coverage."""

from __future__ import annotations

import math

import numpy as np
import pytest

from trainer.compare.statistics import cost_to_reach, mean, paired


def test_a_paired_difference_by_hand() -> None:
    # Differences -1, -2, -3: mean -2, deviation 1, and t(0.975, 2) = 4.30265.
    found = paired([1.0, 1.0, 1.0], [2.0, 3.0, 4.0])
    assert found.difference == -2.0
    assert found.half == pytest.approx(4.30265 / math.sqrt(3), rel=1e-5)
    assert (found.number, found.wins) == (3, 3)
    # 2.484 > 2.
    assert not found.clear
    # Four of them: t(0.975, 3) = 3.18245, deviation 1.29099.
    found = paired([0.0] * 4, [1.0, 2.0, 3.0, 4.0])
    assert found.half == pytest.approx(3.18245 * 1.29099 / 2, rel=1e-5)
    assert found.clear


def test_what_all_seeds_have_in_common_does_not_widen_the_interval() -> None:
    seeds = np.array([0.0, 10.0, -20.0, 5.0])
    found = paired(np.add(seeds, [0.9, 1.1, 1.0, 1.0]).tolist(), seeds.tolist())
    assert found.difference == pytest.approx(1.0)
    assert found.half < 0.2
    assert found.wins == 0


def test_one_seed_claims_nothing_and_none_has_nothing() -> None:
    found = paired([1.0], [5.0])
    assert (found.difference, found.wins) == (-4.0, 1)
    assert math.isnan(found.half)
    assert not found.clear
    assert math.isnan(paired([], []).difference)
    assert math.isnan(mean([]))


def test_a_run_that_diverged_is_not_hidden() -> None:
    found = paired([1.0, math.nan], [1.5, 1.5])
    assert math.isnan(found.difference)
    assert not found.clear
    assert found.wins == 1


@pytest.mark.parametrize("number", [2, 3, 5])
def test_intervals_cover_the_truth_as_often_as_they_say(number: int) -> None:
    generator = np.random.default_rng(number)
    seeds = generator.normal(0, 10, (1500, number))
    values = seeds + 0.3 + generator.normal(0, 0.1, seeds.shape)
    found = [paired(one.tolist(), other.tolist()) for one, other in zip(values, seeds, strict=True)]
    covered = np.mean([abs(one.difference - 0.3) <= one.half for one in found])
    # Three standard errors of a share of 0.95 among 1,500.
    assert covered == pytest.approx(0.95, abs=0.017)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        (2.5, 15.0),  # Half of the way from 3 to 2.
        (2.0, 20.0),
        (5.0, 10.0),  # There already at the first validation.
        (1.75, 37.5),  # The first time: the way from 2.5 at 30 to 1.5 at 40, not the rise before.
        (1.0, math.nan),
    ],
)
def test_the_cost_of_a_loss_is_read_off_the_curve(target: float, expected: float) -> None:
    cost, loss = np.array([10.0, 20.0, 30.0, 40.0]), np.array([3.0, 2.0, 2.5, 1.5])
    assert cost_to_reach(cost, loss, target) == pytest.approx(expected, nan_ok=True)


def test_a_curve_without_points_reaches_nothing() -> None:
    assert math.isnan(cost_to_reach(np.zeros(0), np.zeros(0), 1.0))
