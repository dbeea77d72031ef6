"""What a run wrote to TensorBoard, as curves over optimiser steps."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from policies import Array

_EVENTS = "events.out.tfevents.*"


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


class Scalars:
    """All scalars in a run's folder.

    Args:
        folder: The run's folder. It may hold none, or end in the middle of an entry.
    """

    def __init__(self, folder: Path) -> None:
        self.any_files = next(folder.glob(_EVENTS), None) is not None
        self._events = EventAccumulator(str(folder), size_guidance={"scalars": 0})
        # It tells of a run that was cut off and of folders without files; neither is news here.
        logger = logging.getLogger("tensorboard")
        level = logger.level
        logger.setLevel(logging.CRITICAL)
        try:
            self._events.Reload()
        finally:
            logger.setLevel(level)
        self._tags: list[str] = self._events.Tags()["scalars"]

    def curves(self, group: str) -> Curves:
        """All tags ``GROUP/NAME``, one curve each."""
        prefix = f"{group}/"
        entries = {
            tag.removeprefix(prefix): self._events.Scalars(tag)
            for tag in self._tags
            if tag.startswith(prefix)
        }
        every = [[entry.step for entry in found] for found in entries.values()]
        steps = np.unique(np.concatenate([np.array([], dtype=np.int64), *every]))
        values = np.full((len(steps), len(entries)), np.nan)
        for column, (own, found) in enumerate(zip(every, entries.values(), strict=True)):
            values[np.searchsorted(steps, own), column] = [entry.value for entry in found]
        return Curves(steps.astype(np.float64), tuple(entries), values)

    @property
    def span(self) -> tuple[float, float] | None:
        """When the first and the last scalars were written, in seconds since 1970."""
        times = [self._events.Scalars(tag) for tag in self._tags]
        if not times:
            return None
        return (
            min(found[0].wall_time for found in times),
            max(found[-1].wall_time for found in times),
        )
