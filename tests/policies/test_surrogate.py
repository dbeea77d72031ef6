from __future__ import annotations

import importlib.util

import numpy as np
import pytest

from policies.surrogate import fit_trees

LIBRARIES = {"lightgbm", "sklearn"}


@pytest.mark.parametrize("library", sorted(LIBRARIES))
def test_trees_learn_and_repeat_themselves(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(library)
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util,
        "find_spec",
        lambda name: None if name in LIBRARIES - {library} else find_spec(name),
    )
    inputs = np.random.default_rng(0).dirichlet(np.ones(3), 200)
    targets = np.abs(inputs[:, 0] - 0.3)
    one, two = (fit_trees(inputs, targets, seed=1, trees=40, rate=0.1) for _ in range(2))
    np.testing.assert_array_equal(one(inputs), two(inputs))
    assert one(inputs).shape == (200,)
    assert np.corrcoef(one(inputs), targets)[0, 1] > 0.95


def test_few_points_are_enough() -> None:
    inputs = np.random.default_rng(0).dirichlet(np.ones(3), 8)
    predict = fit_trees(inputs, inputs[:, 0], seed=0, trees=50, rate=0.1)
    assert np.ptp(predict(inputs)) > 0


def test_missing_libraries_name_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'glotmix\[regression\]'"):
        fit_trees(np.ones((3, 2)), np.ones(3), seed=0)
