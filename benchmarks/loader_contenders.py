"""Who is measured, each in a process of its own, taking turns."""

from __future__ import annotations

import functools
import multiprocessing
import os
import random
import signal
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection
from typing import Any

import loader_peers as peers
import loader_plain as plain
import torch
from loader_plain import BATCH, WIDTH, Batches, Data

ROUND_SECONDS = 0.3
FEWEST_BATCHES = 20
PATIENCE = 120.0


@dataclass(frozen=True)
class Entry:
    """One row of the table: how its batches are made, and which weights it obeys."""

    name: str
    weights: str
    start: Callable[[Data], Batches]


OURS = "glotmix `Mixture`"
ENTRIES = (
    Entry(OURS, "new ones every batch", plain.ours),
    Entry("glotmix `MixtureLoader`", "new ones every batch", plain.ours_as_loader),
    Entry("plain: nanoGPT's `get_batch`", "none, one file", plain.nanogpt),
    Entry("plain: rows of an `np.memmap`", "none, one file", plain.memmap_rows),
    Entry("plain: rows of an array over it", "none, one file", plain.array_rows),
    Entry("plain: one indexing operation", "none, one file", plain.vectorised),
    Entry("torchdata `MultiNodeWeightedSampler`", "fixed", peers.torchdata),
    Entry("litdata `CombinedStreamingDataset`", "fixed", peers.litdata),
    Entry("litdata, 2 workers", "fixed", functools.partial(peers.litdata, num_workers=2)),
    Entry("MosaicML `StreamingDataset`", "fixed", peers.mosaic),
    Entry("MosaicML, 2 workers", "fixed", functools.partial(peers.mosaic, num_workers=2)),
    Entry("datasets `interleave_datasets`, map-style, torch", "fixed", peers.datasets_torch),
    Entry("datasets, map-style, arrow and our cast", "fixed", peers.datasets_arrow),
    Entry("datasets, iterable, torch", "fixed", peers.datasets_iterable),
    Entry(
        "datasets, iterable, 2 workers",
        "fixed",
        functools.partial(peers.datasets_iterable, num_workers=2),
    ),
)


@dataclass
class Measured:
    """Seconds per batch of every round, or why there are none."""

    entry: Entry
    rounds: list[float] = field(default_factory=list)
    failure: str = ""

    @property
    def seconds(self) -> float:
        return statistics.median(self.rounds)


def serve(start: Callable[[Data], Batches], data: Data, pipe: Connection) -> None:
    """A contender's process: checks its first batches, then times as many as it is asked for."""
    os.setsid()
    torch.set_num_threads(1)
    try:
        batches = start(data)
        for batch in islice(batches, FEWEST_BATCHES):
            check(batch, data)
        pipe.send("")
    except Exception as error:
        reason = str(error).strip() or "no message"
        pipe.send(f"{type(error).__name__}: {reason.splitlines()[0]}")
        return
    while (num_batches := pipe.recv()) is not None:
        started = time.perf_counter()
        for _ in range(num_batches):
            next(batches)
        pipe.send(time.perf_counter() - started)


def check(batch: torch.Tensor, data: Data) -> None:
    """Raise unless this is a batch of the right shape, most rows of one domain each.

    A plain gather over one file may cross a border between domains.
    """
    if batch.dtype != torch.int64 or batch.shape != (BATCH, WIDTH):
        raise ValueError(f"expected int64 ({BATCH}, {WIDTH}), got {batch.dtype} {batch.shape}")
    domain = batch // data.ids_per_domain
    if (domain != domain[:, :1]).any(dim=1).sum() > 2:
        raise ValueError("rows hold tokens of several domains")


class Contender:
    """One entry's process and its workers; what goes wrong there ends up in the table.

    Between its turns the whole group is stopped: workers that go on filling their queues would
    slow down whoever comes next.
    """

    def __init__(self, entry: Entry, data: Data) -> None:
        self.measured = Measured(entry)
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=serve, args=(entry.start, data, theirs))
        self._process.start()
        theirs.close()
        self._num_batches = FEWEST_BATCHES
        try:
            self._noting_failure(self._await_start)
            self._noting_failure(self._choose_length)
        except BaseException:
            self._process.terminate()
            raise

    def round(self) -> None:
        self._signal(signal.SIGCONT)
        self._noting_failure(lambda: self.measured.rounds.append(self._time() / self._num_batches))
        self.rest()

    def rest(self) -> None:
        self._signal(signal.SIGSTOP)

    def _signal(self, number: signal.Signals) -> None:
        if not self.measured.failure:
            os.killpg(self._process.pid or 0, number)

    def close(self) -> None:
        self._signal(signal.SIGCONT)
        self._noting_failure(lambda: self._pipe.send(None))
        self._process.join(10)
        self._process.terminate()

    def _noting_failure(self, action: Callable[[], None]) -> None:
        if self.measured.failure:
            return
        try:
            action()
        except (EOFError, OSError) as error:
            self.measured.failure = f"stopped: {error!r}"

    def _await_start(self) -> None:
        self.measured.failure = self._receive()

    def _choose_length(self) -> None:
        speed = FEWEST_BATCHES / self._time()
        self._num_batches = max(FEWEST_BATCHES, int(speed * ROUND_SECONDS))

    def _time(self) -> float:
        self._pipe.send(self._num_batches)
        return float(self._receive())

    def _receive(self) -> Any:
        if not self._pipe.poll(PATIENCE):
            raise TimeoutError(f"no answer within {PATIENCE:.0f} s")
        return self._pipe.recv()


def compare(data: Data, num_rounds: int) -> list[Measured]:
    contenders: list[Contender] = []
    try:
        for entry in ENTRIES:
            contenders.append(Contender(entry, data))
            failure = contenders[-1].measured.failure
            print(f"  {entry.name}: {failure or 'ready'}", flush=True)
            contenders[-1].rest()
        for number in range(num_rounds):
            for contender in random.Random(number).sample(contenders, len(contenders)):
                contender.round()
    finally:
        for contender in contenders:
            contender.close()
    return [contender.measured for contender in contenders]
