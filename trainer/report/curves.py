"""What a run wrote to TensorBoard, as curves over optimiser steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from policies import Array
from policies.feedback import ratio
from trainer.event_files import Scalar


class Curves(NamedTuple):
    """Several quantities over the same steps.

    Attributes:
        steps: Optimiser steps, ascending, shape (n,).
        names: What each column is of.
        values: Shape (n, number of names); NaN where nothing was written.
    """

    steps: Array
    names: tuple[str, ...]
    values: Array

    def last(self) -> dict[str, float]:
        """The last value of each that has one."""
        found = {}
        for name, column in zip(self.names, self.values.T, strict=True):
            known = column[np.isfinite(column)]
            if known.size:
                found[name] = float(known[-1])
        return found

    def select(self, names: Sequence[str]) -> Curves:
        """Some of the curves, in this order."""
        columns = [self.names.index(name) for name in names]
        return Curves(self.steps, tuple(names), self.values[:, columns])

    def complete(self) -> Curves:
        """Only the steps at which every quantity was written."""
        whole = np.isfinite(self.values).all(axis=1)
        return Curves(self.steps[whole], self.names, self.values[whole])

    def mean(self) -> Array:
        """The mean over the latest value that each curve has had by then, shape (n,)."""
        known = np.isfinite(self.values)
        latest = np.maximum.accumulate(np.where(known, np.arange(len(known))[:, None], -1))
        values = np.take_along_axis(self.values, np.maximum(latest, 0), axis=0)
        sums = np.where(latest >= 0, values, 0.0).sum(axis=1)
        return ratio(sums, (latest >= 0).sum(axis=1))

    def thinned(self, most: int) -> Curves:
        """At most so many means over neighbouring steps, and the last step as it is."""
        if len(self.steps) <= most:
            return self
        starts = np.arange(most) * len(self.steps) // most
        known = np.isfinite(self.values)
        sums = np.add.reduceat(np.where(known, self.values, 0.0), starts)
        counts = np.add.reduceat(known.astype(float), starts)
        means = np.divide(sums, counts, out=np.full_like(sums, np.nan), where=counts > 0)
        sizes = np.diff(np.append(starts, len(self.steps)))
        steps = np.add.reduceat(self.steps, starts) / sizes
        return Curves(
            np.append(steps, self.steps[-1]), self.names, np.vstack([means, self.values[-1:]])
        )


def curves(scalars: Mapping[str, Sequence[Scalar]], group: str) -> Curves:
    """All tags ``GROUP/NAME``, one curve each."""
    prefix = f"{group}/"
    entries = {
        tag.removeprefix(prefix): found for tag, found in scalars.items() if tag.startswith(prefix)
    }
    every = [np.array([entry.step for entry in found]) for found in entries.values()]
    steps = np.unique(np.concatenate(every)) if every else np.array([], dtype=np.int64)
    values = np.full((len(steps), len(entries)), np.nan)
    for column, (own, found) in enumerate(zip(every, entries.values(), strict=True)):
        values[np.searchsorted(steps, own), column] = [entry.value for entry in found]
    return Curves(steps.astype(np.float64), tuple(entries), values)
