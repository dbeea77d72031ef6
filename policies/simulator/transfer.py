"""What one domain's text is worth to another, kept sparse."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np
from numpy.typing import NDArray

from policies.signals import Array


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Transfer:
    """A k x k matrix tau: row = domain evaluated, column = domain trained on.

    Its diagonal is one: a domain's own text is the measure of all. Only the other entries that are
    not zero are kept, so that thousands of domains with a few relatives each stay cheap.

    Attributes:
        num_domains: The number k.
        rows: Domain evaluated of each entry, shape (m,).
        columns: Domain trained on of each entry, shape (m,).
        values: Fresh tokens of the evaluated domain that one token is worth, shape (m,); negative
            where it does harm.
    """

    num_domains: int
    rows: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: Array

    def __post_init__(self) -> None:
        if not len(self.rows) == len(self.columns) == len(self.values):
            raise ValueError("rows, columns and values must be of the same length")
        places = np.concatenate([self.rows, self.columns])
        if places.size and not (places.min() >= 0 and places.max() < self.num_domains):
            raise ValueError(f"rows and columns must be in [0, {self.num_domains})")
        if (self.rows == self.columns).any():
            raise ValueError("the diagonal of a transfer matrix must be one; leave it out")
        if not np.isfinite(self.values).all():
            raise ValueError("values of a transfer matrix must be finite")

    @classmethod
    def from_dense(cls, matrix: Array) -> Transfer:
        """The transfer of a k x k matrix whose diagonal is one."""
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise ValueError(f"a transfer matrix must be square, got shape {matrix.shape}")
        if not (matrix.diagonal() == 1).all():
            raise ValueError("the diagonal of a transfer matrix must be one")
        rows, columns = np.nonzero(matrix - np.eye(len(matrix)))
        return cls(
            num_domains=len(matrix), rows=rows, columns=columns, values=matrix[rows, columns]
        )

    @property
    def harmless(self) -> bool:
        """Whether no domain does harm to another."""
        return bool((self.values >= 0).all())

    def dense(self) -> Array:
        """The matrix, shape (k, k)."""
        matrix = np.eye(self.num_domains)
        matrix[self.rows, self.columns] = self.values
        return matrix

    def apply(self, trained: Array) -> Array:
        """``tau @ trained``: what each domain has from the text of all, shape (k,)."""
        moved = self.values * trained[self.columns]
        return trained + np.bincount(self.rows, moved, self.num_domains)

    def pull(self, evaluated: Array) -> Array:
        """``tau.T @ evaluated``: what each domain's text does for all, shape (k,)."""
        moved = self.values * evaluated[self.rows]
        return evaluated + np.bincount(self.columns, moved, self.num_domains)
