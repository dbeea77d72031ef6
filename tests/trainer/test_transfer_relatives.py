"""The permutation test: sees planted relatives, and is level where there are none."""

from __future__ import annotations

import numpy as np
import pytest

from trainer.transfer_effects import Transfer
from trainer.transfer_relatives import compare_relatives

NAMES = tuple("abcdefghi")
GROUPS = dict(zip(NAMES, "111222333", strict=True))


def made(generator: np.random.Generator, bonus: float) -> Transfer:
    size = len(NAMES)
    rows, columns = generator.normal(size=(size, 1)), generator.normal(size=size)
    scale = np.exp(generator.normal(size=(size, 1)))
    groups = np.array([GROUPS[name] for name in NAMES])
    related = groups[:, None] == groups
    value = scale * (generator.normal(size=(size, size)) + columns + bonus * related) + 5 * rows
    # Own text helps most; that is no evidence of anything.
    return Transfer(NAMES, value + 100 * np.eye(size), np.ones((size, size)))


def test_planted_relatives_are_found() -> None:
    found = compare_relatives(made(np.random.default_rng(0), 3.0), GROUPS)
    assert found.p_value < 0.005
    assert found.difference > 0.5
    assert (found.pairs, found.left_out) == (18, ())


def test_without_relatives_p_values_are_level() -> None:
    generator = np.random.default_rng(1)
    values = [compare_relatives(made(generator, 0.0), GROUPS, seed).p_value for seed in range(60)]
    assert np.mean(np.array(values) <= 0.2) == pytest.approx(0.2, abs=0.15)
    assert np.mean(values) == pytest.approx(0.5, abs=0.12)


def test_only_what_belongs_to_the_row_and_its_scale_does_not_count() -> None:
    transfer = made(np.random.default_rng(2), 1.0)
    scaled = np.arange(1.0, 10)[:, None] * transfer.value + np.arange(9.0)[:, None]
    before = compare_relatives(transfer, GROUPS)
    after = compare_relatives(transfer._replace(value=scaled), GROUPS)
    assert after.difference == pytest.approx(before.difference)
    assert after.p_value == before.p_value


def test_languages_of_no_known_group_are_left_out() -> None:
    transfer = made(np.random.default_rng(3), 3.0)
    part = {name: group for name, group in GROUPS.items() if name != "e"}
    found = compare_relatives(transfer, part)
    assert (found.pairs, found.left_out) == (14, ("e",))
    alone = compare_relatives(transfer, {name: name for name in NAMES})
    assert alone.pairs == 0
    assert np.isnan(alone.p_value)
