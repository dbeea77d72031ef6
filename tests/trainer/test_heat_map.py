"""Matrices as pictures."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.heat_map import heat_map


def corner(picture: np.ndarray, side: int) -> np.ndarray:
    """The entries of the matrix, without the names left of and above it."""
    return picture[-side:, -side:]


def test_signs_have_colours_and_sizes_have_strength() -> None:
    matrix = np.array([[1.0, 0.5], [0.0, -0.25]])
    entries = corner(heat_map(matrix, ("de", "en")), 128)
    own, best, none, bad = entries[1, 1], entries[1, -2], entries[-2, 1], entries[-2, -2]
    assert none.tolist() == [255, 255, 255]
    # Of two different languages; what one does for itself is no stronger than the full colour.
    assert best.tolist() == own.tolist() == [27, 120, 55]
    weaker = corner(heat_map(np.array([[0.25, 0.5], [0.0, 0.0]]), ("de", "en")), 128)[1, 1]
    assert best[0] < weaker[0] < 255
    assert bad[1] < bad[0]


def test_what_is_not_known_is_grey() -> None:
    entries = corner(heat_map(np.array([[np.nan, 1.0], [np.inf, -1.0]]), ("a", "b")), 128)
    assert entries[1, 1].tolist() == entries[-2, 1].tolist() == [200, 200, 200]
    assert entries[1, -2].tolist() == [27, 120, 55]


@pytest.mark.parametrize("size", [1, 13, 30, 200])
def test_names_stand_beside_their_rows(size: int) -> None:
    names = [f"language {number}" for number in range(size)]
    picture = heat_map(np.zeros((size, size)), names)
    side = min(64, -(-512 // size)) * size
    assert picture.shape[0] == picture.shape[1] > side
    beside = picture[-side:, : picture.shape[1] - side]
    assert (beside.min(axis=(1, 2)) < 200).sum() > 6
    above = picture[: picture.shape[0] - side, -side:]
    assert (above.min(axis=(0, 2)) < 200).sum() > 6


def test_thirty_languages_are_all_named() -> None:
    picture = heat_map(np.zeros((30, 30)), ["ab"] * 30)
    side = 18 * 30
    beside = picture[-side:, : picture.shape[1] - side].reshape(30, 18, -1, 3)
    assert (beside.min(axis=(1, 2, 3)) < 200).all()
