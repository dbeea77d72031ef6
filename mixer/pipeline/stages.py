"""The stages of a pipeline, and the blocks of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep

from mixer.pipeline import duplicates, stored
from mixer.pipeline.blocks import CLASS, build
from mixer.pipeline.configuration import Configuration, Lane
from mixer.pipeline.deduplication import Near
from mixer.pipeline.per_lane import PerLane, Routes
from mixer.pipeline.removed import keep_removed
from mixer.pipeline.sound_text import SoundText
from mixer.pipeline.text_reader import TextReader
from mixer.pipeline.tokenize_documents import TokenizeDocuments
from mixer.pipeline.workplace import Workplace
from mixer.tokenizer_choice import Choice
from mixer.tokenizers import BYTE

READ, SOUND, STEP, EXACT, NEAR, TOKENIZE = (
    "read",
    "sound text",
    "step",
    "without exact duplicates",
    "without near-duplicates",
    "tokenise",
)
Make = Callable[[Lane], PipelineStep]


@dataclass(frozen=True)
class Stage:
    """Tasks that may run at the same time; the next stage begins when all are done.

    Attributes:
        name: What it is called in folders and job names.
        routes: Whose tasks are whose.
        blocks: What each task runs.
    """

    name: str
    routes: Routes
    blocks: tuple[PerLane, ...]


@dataclass(frozen=True)
class Blocks:
    """Makes the blocks of any lane.

    Attributes:
        configuration: What is to be done.
        work: Where.
        tokenizer: The corpus's tokenizer.
    """

    configuration: Configuration
    work: Workplace
    tokenizer: Choice

    def reader(self, lane: Lane) -> PipelineStep:
        reader = build(lane.reader, f"the reader of {lane.label}", lane.values)
        if isinstance(reader, TextReader) and reader.quarantine_folder is None:
            reader.quarantine_folder = str(self.work.lane(lane, "quarantine"))
            reader.max_bad_fraction = self.configuration.max_bad_fraction
        return reader

    def sound(self, lane: Lane) -> PipelineStep:
        return self._keeping(lane, SoundText(), "SoundText")

    def step(self, at: int, lane: Lane) -> PipelineStep:
        if at >= len(lane.steps):
            return Unchanged()
        block = build(lane.steps[at], f"steps[{at}] of {lane.label}", lane.values)
        return self._keeping(lane, block, cause(lane, at))

    def store(self, lane: Lane) -> PipelineStep:
        return stored.store(self.work.lane(lane, "stored"))

    def stored(self, lane: Lane) -> PipelineStep:
        return stored.Stored(self.work.lane(lane, "stored"))

    def exact_signatures(self, lane: Lane) -> PipelineStep:
        return duplicates.exact_signatures(self.work.lane(lane, "exact"))

    def exact_copies(self, lane: Lane) -> PipelineStep:
        return duplicates.exact_copies(self.work.lane(lane, "exact"))

    def without_copies(self, keep: bool, lane: Lane) -> PipelineStep:
        block = duplicates.without_copies(self.work.lane(lane, "exact"))
        return self._keeping(lane, block, "exact-duplicate") if keep else block

    def near_signatures(self, lane: Lane) -> PipelineStep:
        return duplicates.near_signatures(self.work.lane(lane, "near"), self._near)

    def near_pairs(self, lane: Lane) -> PipelineStep:
        return duplicates.near_pairs(self.work.lane(lane, "near"), self._near)

    def near_clusters(self, lane: Lane) -> PipelineStep:
        return duplicates.near_clusters(self.work.lane(lane, "near"), self._near, lane.tasks)

    def without_resembling(self, lane: Lane) -> PipelineStep:
        block = duplicates.without_resembling(self.work.lane(lane, "near"))
        return self._keeping(lane, block, "near-duplicate")

    def tokenize(self, lane: Lane) -> PipelineStep:
        name = self.tokenizer.name
        return TokenizeDocuments(
            str(self.work.lane(lane, "tokens")),
            BYTE if name == BYTE else str(self.work.corpus / name),
            self.tokenizer.end_of_document,
            self.columns,
        )

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns asked for, and those that deduplication fills."""
        wanted = self.configuration.deduplication
        found = {
            duplicates.EXACT_COPIES: wanted.exact,
            duplicates.CLUSTER_SIZE: bool(wanted.minhash),
        }
        names = (*self.configuration.columns, *(name for name, has in found.items() if has))
        return tuple(dict.fromkeys(names))

    @property
    def _near(self) -> Near:
        assert self.configuration.deduplication.minhash is not None
        return self.configuration.deduplication.minhash

    def _keeping(self, lane: Lane, block: PipelineStep, cause: str) -> PipelineStep:
        return keep_removed(block, self.work.removed(lane) / cause, cause)


class Unchanged(PipelineStep):
    """Stands where another lane has a step and this one has none."""

    type, name = "STEP", "None"

    def run(
        self, data: Iterator[Document], rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        yield from data


def cause(lane: Lane, at: int) -> str:
    """What removal by a step is called: its number, from 1, and its class."""
    return f"{at + 1}-{lane.steps[at][CLASS].rpartition('.')[2]}"


def document_stages(blocks: Blocks, lanes: Sequence[Lane]) -> list[Stage]:
    """From readers to a token shard per task."""
    wanted = blocks.configuration.deduplication
    by_part = Routes.of(lanes, lambda lane: lane.tasks)
    by_lane = Routes.of(lanes, lambda lane: 1)
    steps = range(max(len(lane.steps) for lane in lanes))
    first: list[tuple[str, Make]] = [
        (READ, blocks.reader),
        (SOUND, blocks.sound),
        *((f"{STEP} {at}", partial(blocks.step, at)) for at in steps),
    ]
    last: tuple[str, Make] = (TOKENIZE, blocks.tokenize)
    if not wanted:
        return [stage("tokenise", by_part, [*first, last])]
    again: list[tuple[str, Make]] = [("stored", blocks.stored)]
    stages = [stage("clean", by_part, [*first, ("store", blocks.store)])]
    if wanted.exact:
        signatures = [*again, ("signatures", blocks.exact_signatures)]
        stages.append(stage("exact-signatures", by_part, signatures))
        stages.append(stage("exact-copies", by_lane, [("copies", blocks.exact_copies)]))
    silent: list[tuple[str, Make]] = [(EXACT, partial(blocks.without_copies, False))]
    if wanted.minhash:
        buckets = wanted.minhash.num_buckets
        by_bucket = Routes.of(lanes, lambda lane: buckets)
        signatures = [*again, *silent * wanted.exact, ("signatures", blocks.near_signatures)]
        stages.append(stage("near-signatures", by_part, signatures))
        stages.append(stage("near-pairs", by_bucket, [("pairs", blocks.near_pairs)]))
        stages.append(stage("near-clusters", by_lane, [("clusters", blocks.near_clusters)]))
    if wanted.exact:
        again.append((EXACT, partial(blocks.without_copies, True)))
    if wanted.minhash:
        again.append((NEAR, blocks.without_resembling))
    stages.append(stage("tokenise", by_part, [*again, last]))
    return stages


def stage(name: str, routes: Routes, blocks: Sequence[tuple[str, Make]]) -> Stage:
    """A stage of blocks that are called so, the first a reader if it is called ``READ``."""
    return Stage(
        name,
        routes,
        tuple(PerLane(routes, make, title, reads=title == READ) for title, make in blocks),
    )
