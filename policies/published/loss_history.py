"""The losses of a whole run in a table of fixed size."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from policies.signals import Array


class LossHistory(NamedTuple):
    """Losses so far, each row the mean over ``stride`` measurements in a row.

    The mean keeps what every batch tells of a training loss, most of which is noise. Points on a
    curve without noise are better left out than averaged (`policies.learning_curves.History`).

    When the table is full, every two rows become one and the stride doubles. So at least half of
    the rows are in use once as many measurements were made.

    Attributes:
        loss: Losses, shape (m, k).
        examples: What had been trained on at each, shape (m, k), or (m, 1) where the same for all.
        rows: How many rows are in use.
        stride: Measurements in a row.
        pending: Measurements of the row that is not full yet.
        pending_loss: Their sum, shape (k,).
        pending_examples: Likewise, shape (k,) or (1,).
    """

    loss: Array
    examples: Array
    rows: int
    stride: int
    pending: int
    pending_loss: Array
    pending_examples: Array


def no_history(rows: int, num_domains: int, num_clocks: int) -> LossHistory:
    """A table without losses, of an even number of rows; ``num_clocks`` is k or 1."""
    return LossHistory(
        loss=np.zeros((rows, num_domains)),
        examples=np.zeros((rows, num_clocks)),
        rows=0,
        stride=1,
        pending=0,
        pending_loss=np.zeros(num_domains),
        pending_examples=np.zeros(num_clocks),
    )


def append(history: LossHistory, loss: Array, examples: Array) -> LossHistory:
    """The history with one more measurement; the one given is left as it is."""
    history = history._replace(
        pending=history.pending + 1,
        pending_loss=history.pending_loss + loss,
        pending_examples=history.pending_examples + examples,
    )
    if history.pending < history.stride:
        return history
    table, clock = history.loss.copy(), history.examples.copy()
    table[history.rows] = history.pending_loss / history.stride
    clock[history.rows] = history.pending_examples / history.stride
    rows, stride = history.rows + 1, history.stride
    if rows == len(table):
        rows, stride = rows // 2, 2 * stride
        for values in (table, clock):
            values[:rows] = (values[0::2] + values[1::2]) / 2
    return LossHistory(
        loss=table,
        examples=clock,
        rows=rows,
        stride=stride,
        pending=0,
        pending_loss=np.zeros_like(history.pending_loss),
        pending_examples=np.zeros_like(history.pending_examples),
    )
