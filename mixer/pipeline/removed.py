"""Where the documents go that a step removes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.writers.jsonl import JsonlWriter


class RemovedWriter(JsonlWriter):
    """Writes removed documents as JSON lines, each with the cause and what is known of it.

    Args:
        folder: Where to; one file per task, ``RANK.jsonl.gz``.
        cause: What removes them.
    """

    name = "Removed"

    def __init__(self, folder: Path, cause: str) -> None:
        super().__init__(str(folder))
        self.cause = cause

    def _default_adapter(self, document: Document) -> dict[str, Any]:
        reason = document.metadata.get("filter_reason")
        return {"removed_by": self.cause, "reason": reason, **super()._default_adapter(document)}


def keep_removed(block: PipelineStep, folder: Path, cause: str) -> PipelineStep:
    """Let a block that can write what it removes do so, unless it was told where to already.

    Args:
        block: The block; given back.
        folder: Where to.
        cause: What the removal is called.
    """
    if getattr(block, "exclusion_writer", block) is None:
        block.exclusion_writer = RemovedWriter(folder, cause)
    return block
