"""Documents set down between two stages."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.readers.jsonl import JsonlReader
from datatrove.pipeline.writers.jsonl import JsonlWriter

ENDING = ".jsonl.zst"


def store(folder: Path) -> PipelineStep:
    """Writes the documents of each task to a file of its own."""
    return JsonlWriter(str(folder), "${rank}" + ENDING, compression="zstd")


class Stored(JsonlReader):
    """Reads what the task of the same rank has stored, which may be nothing.

    Args:
        folder: Where it was stored.
    """

    name = "Stored"

    def __init__(self, folder: Path) -> None:
        super().__init__(str(folder), compression="zstd")

    def run(
        self, data: Iterator[Document] | None = None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """Read one file."""
        name = f"{rank:05d}{ENDING}"
        if self.data_folder.exists(name):
            yield from self.read_file(name)
