from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.permutation import EpochPermutation, key_of


def order(size: int, epoch: int, key: int = 7) -> list[int]:
    permutation = EpochPermutation(size, key)
    return permutation(np.full(size, epoch), np.arange(size)).tolist()


@given(size=st.integers(1, 3000), epoch=st.integers(0, 10**6), key=st.integers(0, 2**64 - 1))
def test_every_item_comes_once(size: int, epoch: int, key: int) -> None:
    assert sorted(order(size, epoch, key)) == list(range(size))


@pytest.mark.parametrize("size", [2, 3, 4])
def test_all_orders_of_few_items_come_about_equally_often(size: int) -> None:
    epochs = 6000
    counts = Counter(tuple(order(size, epoch)) for epoch in range(epochs))
    orders = [1, 1, 2, 6, 24][size]
    assert len(counts) == orders
    expected = epochs / orders
    # 5 standard deviations of a Poisson count.
    assert max(abs(count - expected) for count in counts.values()) < 5 * expected**0.5


def test_no_item_prefers_a_position() -> None:
    size, epochs = 50, 4000
    permutation = EpochPermutation(size, key_of(3, "en"))
    table = np.zeros((size, size))
    for position in range(size):
        items = permutation(np.arange(epochs), np.full(epochs, position))
        table[position] = np.bincount(items, minlength=size)
    expected = epochs / size
    chi_square = ((table - expected) ** 2 / expected).sum()
    degrees = (size - 1) ** 2
    assert abs(chi_square - degrees) < 5 * (2 * degrees) ** 0.5


def test_neighbours_and_epochs_are_unrelated() -> None:
    size = 20_000
    first, second = np.array(order(size, 0)), np.array(order(size, 1))
    for pair in ((first[:-1], first[1:]), (first, second), (first, np.arange(size))):
        assert abs(np.corrcoef(*pair)[0, 1]) < 5 / size**0.5


def test_seek_gives_what_reading_through_gives() -> None:
    whole = order(1000, 4)
    permutation = EpochPermutation(1000, 7)
    assert permutation(np.array([4]), np.array([613])).tolist() == [whole[613]]


def test_known_values_stay_the_same() -> None:
    """A change of these numbers would change the order of every run that is resumed."""
    assert key_of(0, "order", "en") == 0x89524A7B5609D2B5
    assert order(10, 0, key=1) == [3, 4, 0, 5, 2, 6, 8, 9, 1, 7]
    assert order(10, 3, key=1) == [0, 6, 2, 1, 9, 8, 5, 3, 4, 7]


def test_a_permutation_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="1 to"):
        EpochPermutation(0, 1)
