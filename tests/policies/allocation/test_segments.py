"""Many fillings at once: each is what it would be alone."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.allocation import segments
from policies.allocation.filling import Objective, fill
from policies.allocation.segments import fill_segments, segments_of
from policies.signals import Array


def check_each(
    objective: Objective, level: Array, lower: Array, upper: Array, totals: Array, parts: list[int]
) -> None:
    """Amounts agree with those of `fill`; the numbers may differ where nothing is free."""
    places = np.split(np.arange(len(level)), np.cumsum(parts)[:-1])
    found = fill_segments(level, lower, upper, segments_of(places), totals, objective)
    for inside, at, total in zip(places, found, totals, strict=True):
        box = lower[inside], upper[inside]
        amounts = np.clip(level[inside] * at if objective == "kl" else level[inside] + at, *box)
        alone = fill(level[inside], *box, float(total), objective)
        assert abs(amounts.sum() - total) < 1e-13
        np.testing.assert_allclose(amounts, alone.amounts, atol=1e-13)


@pytest.mark.parametrize("objective", ["kl", "euclidean"])
@given(seed=st.integers(0, 10_000), parts=st.lists(st.integers(1, 60), min_size=1, max_size=12))
@settings(max_examples=40, deadline=None)
def test_each_segment_is_filled_as_if_alone(
    objective: Objective, seed: int, parts: list[int]
) -> None:
    generator, size = np.random.default_rng(seed), sum(parts)
    inside = generator.dirichlet(np.ones(size))
    level = generator.dirichlet(np.full(size, generator.uniform(0.02, 3))) + 1e-12
    lower = inside * generator.uniform(0, 1, size)
    upper = np.where(generator.random(size) < 0.7, inside * generator.uniform(1, 4, size), 1.0)
    starts = np.cumsum(parts) - parts
    check_each(objective, level, lower, upper, np.add.reduceat(inside, starts), parts)


@pytest.mark.parametrize("objective", ["kl", "euclidean"])
def test_what_is_not_settled_together_is_filled_alone(objective: Objective) -> None:
    generator = np.random.default_rng(0)
    inside, level = generator.dirichlet(np.ones(40), 2)
    totals = np.array([inside[:30].sum(), inside[30:].sum()])
    with mock.patch.object(segments, "TOGETHER", 1):
        check_each(objective, level, inside / 2, 2 * inside, totals, [30, 10])


def test_where_nothing_is_free_and_where_nothing_is_wanted() -> None:
    level, lower = np.array([1.0, 3e-3, 3e-3, 0.5, 0.5]), np.array([0, 0.1, 0.1, 0, 0])
    upper = np.array([0.4, 1.0, 1.0, 1.0, 1.0])
    check_each("kl", level, lower, upper, np.array([1.0, 0.0]), [3, 2])
