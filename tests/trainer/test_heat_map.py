"""Matrices as pictures."""

from __future__ import annotations

import numpy as np

from trainer.heat_map import heat_map


def test_signs_have_colours_and_sizes_have_strength() -> None:
    picture = heat_map(np.array([[1.0, 0.0], [0.25, -0.5]]))
    assert picture.shape == (256, 256, 3)
    best, none, some, bad = picture[0, 0], picture[0, -1], picture[-1, 0], picture[-1, -1]
    assert none.tolist() == [255, 255, 255]
    assert best.tolist() == [27, 120, 55]
    assert best[0] < some[0] < 255
    assert bad[1] < bad[0]


def test_zeros_are_white_and_large_matrices_keep_their_size() -> None:
    assert (heat_map(np.zeros((1, 1))) == 255).all()
    assert heat_map(np.ones((300, 300))).shape == (300, 300, 3)
