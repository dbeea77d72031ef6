from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from policies.published import clipped_gradients
from policies.published.clipped_gradients import MAX_NORM, as_they_are, clip_gradients
from policies.signals import Array


@pytest.fixture
def gradients() -> Array:
    """Rows longer and shorter than one, and some that cannot be measured."""
    rows = np.random.default_rng(0).normal(size=(40, 6)) * np.linspace(0.01, 2, 40)[:, None]
    rows[3, 2], rows[8], rows[9, 0], rows[20:30] = np.nan, np.inf, 1e200, np.nan
    rows[31, 1] = 2 * MAX_NORM
    return rows


def shortened(row: Array) -> Array:
    """A row at most of length one, zero if it cannot be measured."""
    if not np.abs(row).max() < MAX_NORM:
        return np.zeros_like(row)
    return np.asarray(row * min(1, 1 / (np.linalg.norm(row) + 1e-6)))


@pytest.mark.parametrize("block", [1 << 18, 7 * 6, 1])
def test_rows_that_were_not_measured_are_left_out(
    monkeypatch: pytest.MonkeyPatch, gradients: Array, block: int
) -> None:
    monkeypatch.setattr(clipped_gradients, "BLOCK_NUMBERS", block)
    generator = np.random.default_rng(1)
    aim, weight = generator.normal(size=6), generator.random(40)
    expected = np.array([shortened(row) for row in gradients])
    found = clip_gradients(gradients, 1.0)
    assert found.measured.sum() == 26
    np.testing.assert_array_equal(found.measured, expected.any(axis=1))
    np.testing.assert_allclose(found.clipped(), expected, rtol=1e-12)
    np.testing.assert_allclose(found.norm, np.linalg.norm(expected, axis=1), rtol=1e-12)
    np.testing.assert_allclose(found.total(weight), weight @ expected, rtol=1e-12)
    np.testing.assert_allclose(found.products(aim), expected @ aim, rtol=1e-11)
    others = generator.normal(size=gradients.shape)
    mixed = np.where(found.measured[:, None], expected, others)
    np.testing.assert_allclose(found.over(others), mixed, rtol=1e-12)


def test_nothing_is_measured() -> None:
    found = clip_gradients(np.full((3, 2), np.nan), 1.0)
    np.testing.assert_array_equal(found.total(np.ones(3)), np.zeros(2))
    np.testing.assert_array_equal(found.products(np.ones(2)), np.zeros(3))


def test_rows_may_be_taken_as_they_are(gradients: Array) -> None:
    rows = gradients[10:20]
    found = as_they_are(rows)
    np.testing.assert_array_equal(found.clipped(), rows)
    np.testing.assert_allclose(found.norm, np.linalg.norm(rows, axis=1))


@pytest.mark.parametrize("absent", [0, 1, 1500])
def test_large_gradients_are_not_copied(absent: int) -> None:
    """Memory that has to be found anew in each step costs more than the calculation."""
    gradients = np.ones((2000, 1024))
    gradients[:absent] = np.nan
    tracemalloc.start()
    found = clip_gradients(gradients, 1.0)
    found.total(np.ones(2000))
    found.products(np.ones(1024))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < gradients.nbytes / 4
