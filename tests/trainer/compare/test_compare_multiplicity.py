"""P-values and their adjustment against numbers worked out by hand and against SciPy."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import ttest_rel

from trainer.compare.multiplicity import holm, p_value
from trainer.compare.statistics import paired


@pytest.mark.parametrize("number", [2, 3, 7])
def test_p_values_are_those_of_the_paired_t_test(number: int) -> None:
    values, baseline = np.random.default_rng(number).normal(size=(2, number)).tolist()
    found = p_value(paired(values, baseline))
    assert found == pytest.approx(float(ttest_rel(values, baseline).pvalue), rel=1e-9)


def test_a_clear_difference_is_one_with_a_small_p_value() -> None:
    # t(0.975, 2) is 4.3027: differences of 1 with deviation 1, times 2.48 or 2.49 over sqrt(3).
    for shift, clear in ((2.48, False), (2.49, True)):
        pair = paired([shift - 1, shift, shift + 1], [0.0] * 3)
        assert pair.clear == clear
        assert (p_value(pair) < 0.05) == clear


def test_where_there_is_no_interval_there_is_no_p_value() -> None:
    assert math.isnan(p_value(paired([1.0], [2.0])))
    assert math.isnan(p_value(paired([], [])))
    # A run of the baseline beside itself, and one that is better by the same in every seed.
    assert p_value(paired([1.0, 2.0], [1.0, 2.0])) == 1
    assert p_value(paired([1.0, 2.0], [2.0, 3.0])) == 0


def test_holm_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.5: times 4, 3, 2, 1, none below the one before.
    assert holm([0.03, 0.01, 0.5, 0.02]) == pytest.approx([0.06, 0.04, 0.5, 0.06])
    assert holm([0.4, 0.3]) == pytest.approx([0.6, 0.6])
    assert holm([0.9, 0.8, 0.7]) == pytest.approx([1.0, 1.0, 1.0])
    assert holm([0.02]) == pytest.approx([0.02])
    assert len(holm([])) == 0


def test_what_has_no_p_value_is_not_counted() -> None:
    found = holm([math.nan, 0.02, 0.04])
    assert math.isnan(found[0])
    assert found[1:] == pytest.approx([0.04, 0.04])


def test_false_claims_are_as_rare_as_promised() -> None:
    """Nine policies that are the baseline, on three seeds; the baseline is common to all."""
    generator = np.random.default_rng(0)
    comparisons, alone = 0, 0
    for _ in range(400):
        base = generator.normal(size=3)
        values = [
            p_value(paired((base + generator.normal(size=3)).tolist(), base.tolist()))
            for _ in range(9)
        ]
        alone += min(values) < 0.05
        comparisons += float(holm(values).min()) < 0.05
    assert alone / 400 > 0.2
    # Three standard errors above 5 %.
    assert comparisons / 400 < 0.083
