from __future__ import annotations

import numpy as np

from policies.published.loss_history import append, no_history


def test_rows_are_the_means_of_runs_of_measurements() -> None:
    history = no_history(8, 2, 1)
    rng = np.random.default_rng(0)
    losses = rng.normal(size=(45, 2))
    strides = []
    for step, loss in enumerate(losses):
        history = append(history, loss, np.array([step + 1.0]))
        strides.append(history.stride)
    assert (strides[6], strides[7], strides[15], strides[31]) == (1, 2, 4, 8)
    assert (history.rows, history.stride, history.pending) == (5, 8, 5)
    means = losses[:40].reshape(5, 8, 2).mean(axis=1)
    np.testing.assert_allclose(history.loss[:5], means)
    np.testing.assert_allclose(history.examples[:5, 0], 8 * np.arange(5) + 4.5)


def test_what_was_given_is_left_as_it_was() -> None:
    first = append(no_history(8, 1, 1), np.ones(1), np.ones(1))
    before = first.loss.copy()
    append(first, 5 * np.ones(1), np.ones(1))
    np.testing.assert_array_equal(first.loss, before)
