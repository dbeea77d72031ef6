"""What a number of seeds can show: against simulated seeds and a published table."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.compare.power import power, smallest_detectable
from trainer.compare.statistics import paired


def test_seeds_needed_as_in_cohens_table() -> None:
    # Cohen 1988, one sample, two-sided 0.05: an effect of 0.5 takes 34 for a power of 0.8, and
    # one of 0.8 takes 15.
    assert smallest_detectable(34) == pytest.approx(0.5, abs=0.01)
    assert smallest_detectable(15) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize("number", [2, 3, 10])
def test_the_smallest_detectable_difference_has_the_power_asked_for(number: int) -> None:
    assert power(smallest_detectable(number, 0.9), number) == pytest.approx(0.9, abs=1e-6)


def test_intervals_find_an_effect_as_often_as_said() -> None:
    differences = np.random.default_rng(0).normal(3.0, 1.0, (1500, 3))
    pairs = [paired(one.tolist(), [0.0] * 3) for one in differences]
    found = np.mean([pair.clear and pair.difference > 0 for pair in pairs])
    # Three standard errors.
    assert found == pytest.approx(power(3.0, 3), abs=0.04)


def test_without_an_effect_half_of_the_errors_are_on_one_side() -> None:
    assert power(0.0, 5) == pytest.approx(0.025)


def test_one_seed_shows_nothing() -> None:
    with pytest.raises(ValueError, match="number of seeds must be at least 2 for an interval"):
        power(1.0, 1)
    with pytest.raises(ValueError, match=r"probability must be in \(0.025, 1\), got 1"):
        smallest_detectable(3, 1.0)
