"""When the mixture moved: shares of what was read, and who gave to whom."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.mixture_moves import moves, shares_read
from trainer.report.curves import Curves

NAMES = ("a", "b")


def tokens(steps: list[int], read: list[list[float]]) -> Curves:
    return Curves(np.array(steps, dtype=np.float64), NAMES, np.array(read, dtype=np.float64))


def test_shares_are_those_of_what_was_read_in_between() -> None:
    found = shares_read(tokens([10, 20, 30, 40], [[6, 4], [12, 8], [14, 16], [14, 26]]), 2)
    assert found.steps.tolist() == [0, 20]
    np.testing.assert_allclose(found.values, [[0.6, 0.4], [0.1, 0.9]])


def test_a_mixture_that_swings_to_and_fro_does_not_move() -> None:
    swinging = np.tile([[9.0, 1.0], [1.0, 9.0]], (10, 1)).cumsum(axis=0)
    found = shares_read(tokens(list(range(1, 21)), swinging.tolist()), 5)
    np.testing.assert_allclose(found.values, 0.5)
    assert [move.moved for move in moves(found)] == pytest.approx([0, 0, 0, 0])


def test_stretches_follow_what_was_logged() -> None:
    # More stretches than points, and a point at which one language was not written.
    found = shares_read(tokens([10, 20, 30], [[5, 5], [np.nan, 9], [5, 25]]), 50)
    assert found.steps.tolist() == [0, 10]
    np.testing.assert_allclose(found.values, [[0.5, 0.5], [0, 1]])
    with pytest.raises(ValueError, match="log_every_n_steps"):
        shares_read(Curves(np.array([]), (), np.zeros((0, 0))), 5)


def test_moves_tell_how_much_changed_hands_and_who_gained() -> None:
    shares = Curves(
        np.array([0.0, 5.0, 9.0]),
        ("a", "b", "c"),
        np.array([[0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [0.2, 0.4, 0.4]]),
    )
    first, second = moves(shares)
    assert (first.step, second.step) == (5, 9)
    assert [first.moved, second.moved] == pytest.approx([0.3, 0.1])
    assert list(first.gained) == ["c", "b", "a"]
    assert first.gained["c"] == pytest.approx(0.3)
