"""One pipeline for all lanes: in each task the blocks of the lane that the task belongs to."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from mixer.pipeline.configuration import Lane

IN, OUT, SECONDS = "documents in", "documents out", "seconds"


@dataclass(frozen=True)
class Routes:
    """Which tasks of a stage belong to which lane.

    Attributes:
        lanes: The lanes, in order.
        bounds: Lane i has the tasks from ``bounds[i]`` to below ``bounds[i + 1]``.
    """

    lanes: tuple[Lane, ...]
    bounds: tuple[int, ...]

    @classmethod
    def of(cls, lanes: Sequence[Lane], tasks: Callable[[Lane], int]) -> Routes:
        return cls(tuple(lanes), tuple(accumulate(map(tasks, lanes), initial=0)))

    @property
    def tasks(self) -> int:
        return self.bounds[-1]

    def locate(self, rank: int) -> int:
        """The index of the lane a task belongs to."""
        return bisect_right(self.bounds, rank) - 1

    def ranks(self, lane: Lane) -> range:
        at = self.lanes.index(lane)
        return range(self.bounds[at], self.bounds[at + 1])


class PerLane(PipelineStep):
    """Stands for one block of every lane.

    Thousands of languages would be thousands of short pipelines, one after the other; so they are
    tasks of one. Blocks are made where they run: what a filter loads is loaded once per task.

    Args:
        routes: Whose tasks are whose.
        make: Makes the block of a lane.
        title: What the block is called.
        reads: Whether it is a reader, whose failures are told with the lane's name.
    """

    type = "PER LANE"

    def __init__(
        self,
        routes: Routes,
        make: Callable[[Lane], PipelineStep],
        title: str,
        *,
        reads: bool = False,
    ) -> None:
        self.name = title
        super().__init__()
        self.routes = routes
        self.make = make
        self.reads = reads

    def run(
        self, data: Iterator[Document] | None = None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """Run the lane's block as if the lane were alone."""
        started = time.monotonic()
        at = self.routes.locate(rank)
        lane, first = self.routes.lanes[at], self.routes.bounds[at]
        block = self.make(lane)
        # datatrove adds up the figures of all tasks, and only those of one name.
        block.stats.name = str(self)
        self.stats = block.stats
        source, tasks = _Counted(data), self.routes.bounds[at + 1] - first
        count = 0
        try:
            produced: Iterable[Any] = block.run(source if data else None, rank - first, tasks) or ()
            for document in produced:
                count += 1
                yield document
        except Exception as error:
            if not self.reads:
                raise
            kind = "" if isinstance(error, ValueError) else f"{type(error).__name__}: "
            raise ValueError(f"{lane.label} cannot be read: {kind}{error}") from error
        self.stat_update(IN, value=source.count, unit="task")
        self.stat_update(OUT, value=count, unit="task")
        # The last block pulls all others, so that its time is that of the task.
        self.stat_update(SECONDS, value=time.monotonic() - started, unit="task")


class _Counted:
    """Counts what is taken from an iterator."""

    def __init__(self, documents: Iterator[Document] | None) -> None:
        self._documents = documents or iter(())
        self.count = 0

    def __iter__(self) -> Iterator[Document]:
        return self

    def __next__(self) -> Document:
        document = next(self._documents)
        self.count += 1
        return document
