"""A regression on trees: the one place where LightGBM or scikit-learn is used."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable

import numpy as np

from policies.signals import Array

Predict = Callable[[Array], Array]

SMALLEST_LEAF = 20  # LightGBM's own; fewer where there are fewer than a hundred points.


def fit_trees(
    inputs: Array, targets: Array, *, seed: int, trees: int = 1000, rate: float = 0.01
) -> Predict:
    """Gradient-boosted trees: LightGBM where it is installed, else scikit-learn.

    The same inputs and seed give the same predictions with the same library; the two libraries do
    not agree with each other to the last digits.

    Args:
        inputs: Shape (n, k).
        targets: Shape (n,).
        seed: Of whatever the library draws.
        trees: Number of trees.
        rate: Learning rate.

    Returns:
        A function from inputs, shape (m, k), to predictions, shape (m,).

    Raises:
        ImportError: Neither library is installed.
    """
    leaf = max(min(SMALLEST_LEAF, len(inputs) // 5), 1)
    if importlib.util.find_spec("lightgbm") is not None:
        return _lightgbm(inputs, targets, seed, trees, rate, leaf)
    if importlib.util.find_spec("sklearn") is not None:
        return _sklearn(inputs, targets, seed, trees, rate, leaf)
    raise ImportError(
        "a regression on trees needs LightGBM or scikit-learn: pip install 'glotmix[regression]'"
    )


def _lightgbm(
    inputs: Array, targets: Array, seed: int, trees: int, rate: float, leaf: int
) -> Predict:
    import lightgbm

    settings = {
        "objective": "regression",
        "learning_rate": rate,
        "min_data_in_leaf": leaf,
        "seed": seed % 2**31,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    data = lightgbm.Dataset(inputs, targets)
    booster = lightgbm.train(settings, data, num_boost_round=trees)
    return lambda points: np.asarray(booster.predict(points, num_threads=1), dtype=np.float64)


def _sklearn(
    inputs: Array, targets: Array, seed: int, trees: int, rate: float, leaf: int
) -> Predict:
    # By name, as scikit-learn has no types.
    ensemble = importlib.import_module("sklearn.ensemble")
    model = ensemble.HistGradientBoostingRegressor(
        max_iter=trees,
        learning_rate=rate,
        min_samples_leaf=leaf,
        early_stopping=False,
        random_state=seed % 2**31,
    ).fit(inputs, targets)
    return lambda points: np.asarray(model.predict(points), dtype=np.float64)
