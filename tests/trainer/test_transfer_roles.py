"""Roles of languages from effects whose sizes and errors are known."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.transfer_effects import Transfer
from trainer.transfer_roles import standings

NAMES = ("giver", "taker", "idle", "plain")
# Columns: what share of each does for the rows.
VALUE = np.array(
    [
        [4.0, -3.0, 0.0, 0.5],
        [4.0, 9.0, 0.5, -0.5],
        [4.0, -3.0, 1.0, 1.0],
        [1.0, -3.0, -0.5, 9.0],
    ]
)


def test_roles_follow_own_effect_and_that_on_others() -> None:
    found = standings(Transfer(NAMES, VALUE, np.ones((4, 4))))
    roles = [one.role for one in found]
    assert roles == ["altruistic", "selfish", "stagnant", "unclear"]
    assert [one.own for one in found] == [4, 9, 1, 9]
    assert [one.others for one in found] == pytest.approx([3, -3, 0, 1 / 3])


def test_nothing_is_clear_within_two_errors() -> None:
    found = standings(Transfer(NAMES, VALUE, np.full((4, 4), 5.0)))
    assert {one.role for one in found} == {"stagnant"}
    unknown = standings(Transfer(NAMES, VALUE, np.full((4, 4), np.nan)))
    assert {one.role for one in unknown} == {"unclear"}
    assert unknown[0].others == pytest.approx(3)


def test_errors_of_the_mean_on_others_are_no_smaller_than_they_must() -> None:
    size, generator = 12, np.random.default_rng(0)
    names, errors = tuple("abcdefghijkl"), generator.uniform(1, 3, (12, 12))
    for common in (0.0, 0.3, 1.0):
        # What all rows of a column share, and what is a row's own.
        shared = generator.normal(size=(150, 1, size))
        apart = generator.normal(size=(150, size, size))
        draws = errors * (np.sqrt(common) * shared + np.sqrt(1 - common) * apart)
        told = [standings(Transfer(names, draw, errors))[0] for draw in draws]
        spread = float(np.std([one.others for one in told]))
        stated = float(np.sqrt(np.mean([one.others_error**2 for one in told])))
        assert 0.85 < stated / spread < 1.35


def test_what_languages_have_in_common_makes_the_error_larger() -> None:
    errors = np.ones((6, 6))
    alike = np.tile(np.array([2.0, -2.0, 2.0, -2.0, 2.0, -2.0]), (6, 1))
    (first, *_) = standings(Transfer(tuple("abcdef"), alike, errors))
    assert first.others_error == pytest.approx(1.0)
    (unlike, *_) = standings(Transfer(tuple("abcdef"), alike * np.eye(6), errors))
    assert unlike.others_error == pytest.approx(np.sqrt(1 / 5))
