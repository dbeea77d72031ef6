"""Gradients of many domains, shortened to a length without a copy of them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.signals import Array

# No gradient of a mean loss is this long: it is a fault.
MAX_NORM = 1e9
TINY = 1e-6  # As in DoGE's released code, where it keeps divisions by a norm finite.
BLOCK_NUMBERS = 1 << 17  # A megabyte, which caches hold.


class Clipped(NamedTuple):
    """Gradients no longer than a length.

    With thousands of domains a copy costs more than all that is calculated here. So the factors are
    kept apart, and rows that could not be measured are left as they are, NaN or absurd, and out of
    every result.

    Attributes:
        gradients: One a row, shape (n, d), as they came.
        factor: What each row is to be multiplied by, shape (n,); zero if not measured.
        norm: Length of each row after that, shape (n,).
        measured: Which rows are finite and not absurdly long, shape (n,).
    """

    gradients: Array
    factor: Array
    norm: Array
    measured: NDArray[np.bool_]

    def clipped(self) -> Array:
        """The shortened gradients, shape (n, d); zero where they were not measured."""
        return self.over(np.zeros_like(self.gradients))

    def over(self, others: Array) -> Array:
        """The shortened gradients where measured, and these, shape (n, d), where not."""
        rows = others.copy()
        where = self.measured[:, None]
        np.multiply(self.gradients, self.factor[:, None], out=rows, where=where)
        return rows

    def total(self, weight: Array) -> Array:
        """Sum of the shortened gradients, each times its weight, shape (n,); shape (d,)."""
        weight = weight * self.factor
        total = np.zeros(self.gradients.shape[1])
        for rows, gradients in self._blocks():
            total += weight[rows] @ gradients
        return total

    def products(self, aim: Array) -> Array:
        """Inner product of each shortened gradient with one of shape (d,), shape (n,)."""
        products = np.zeros_like(self.factor)
        for rows, gradients in self._blocks():
            products[rows] = gradients @ aim
        return products * self.factor

    def _blocks(self) -> Iterator[tuple[NDArray[np.int64] | slice, Array]]:
        """The measured rows and which they are; copied, in pieces, where others are among them."""
        if self.measured.all():
            yield slice(None), self.gradients
            return
        measured = np.flatnonzero(self.measured)
        size = max(BLOCK_NUMBERS // max(self.gradients.shape[1], 1), 1)
        for start in range(0, len(measured), size):
            rows = measured[start : start + size]
            yield rows, self.gradients[rows]


def clip_gradients(gradients: Array, max_norm: float) -> Clipped:
    """Rows, shape (n, d), shortened to at most a length."""
    norm = _norms(gradients)
    measured = norm < MAX_NORM
    norm = np.where(measured, norm, 0.0)
    factor = np.where(measured, np.minimum(1.0, max_norm / (norm + TINY)), 0.0)
    return Clipped(gradients, factor, factor * norm, measured)


def as_they_are(gradients: Array) -> Clipped:
    """Rows, shape (n, d), that are short enough."""
    number = len(gradients)
    return Clipped(gradients, np.ones(number), _norms(gradients), np.ones(number, dtype=bool))


def _norms(gradients: Array) -> Array:
    with np.errstate(over="ignore", invalid="ignore"):
        norms: Array = np.sqrt(np.vecdot(gradients, gradients))
    return norms
