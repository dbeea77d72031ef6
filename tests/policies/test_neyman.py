from __future__ import annotations

import numpy as np
import pytest

from policies.neyman import neyman
from policies.signals import Array


def variance(shares: Array, deviation: Array, cost: Array, weight: Array) -> Array:
    """Of the weighted mean when the samples, divided by these shares, cost one in all."""
    numbers = shares / (shares @ cost)[..., None]
    return (weight**2 * deviation**2 / numbers).sum(axis=-1)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("seed", range(4))
def test_no_other_allocation_is_more_certain(k: int, seed: int) -> None:
    generator = np.random.default_rng([k, seed])
    deviation, cost, weight = generator.uniform(0.2, 2, (3, k))
    others = generator.dirichlet(np.ones(k), 50_000)
    found = neyman(deviation, cost, weight)
    assert found.sum() == pytest.approx(1)
    tried = variance(others, deviation, cost, weight)
    least = variance(found, deviation, cost, weight)
    assert least <= tried.min() * (1 + 1e-12)
    np.testing.assert_allclose(found, others[tried.argmin()], atol=0.05)


def test_equal_parts_share_equally() -> None:
    np.testing.assert_allclose(neyman(np.full(4, 3.0)), 0.25)


def test_nothing_to_learn_where_nothing_deviates() -> None:
    np.testing.assert_allclose(neyman(np.array([0.0, 2.0, 1.0])), [0, 2 / 3, 1 / 3])
    np.testing.assert_allclose(neyman(np.zeros(2), weight=np.array([1.0, 3.0])), [0.25, 0.75])
    # All that deviates does not count.
    found = neyman(np.array([1.0, 0.0]), weight=np.array([0.0, 2.0]))
    np.testing.assert_allclose(found, [0, 1])


def test_huge_numbers_do_not_overflow() -> None:
    found = neyman(np.array([1e305, 1e305]), weight=np.array([1e5, 3e5]))
    np.testing.assert_allclose(found, [0.25, 0.75])
