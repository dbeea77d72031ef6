"""Where a pipeline keeps what it has done so far."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mixer.pipeline.configuration import Lane
from mixer.receipts import FOLDER


@dataclass(frozen=True)
class Workplace:
    """The folders of a pipeline within a corpus folder.

    Attributes:
        corpus: The corpus folder.
    """

    corpus: Path

    @property
    def folder(self) -> Path:
        """All that can be thrown away when the corpus is done."""
        return self.corpus / FOLDER / "pipeline"

    @property
    def plan(self) -> Path:
        return self.folder / "plan.json"

    def stage(self, name: str) -> Path:
        """Folder of a stage, as datatrove keeps it: logs, figures, which tasks are done."""
        return self.folder / "stages" / name

    def lane(self, lane: Lane, what: str) -> Path:
        return self.folder / what / lane.domain / lane.split

    def receipt(self, lane: Lane) -> Path:
        return self.corpus / FOLDER / lane.domain / f"{lane.split}.pipeline.json"

    def small_receipt(self, lane: Lane) -> Path:
        """What `glotmix prepare FOLDER` would leave for the same shard."""
        return self.corpus / FOLDER / lane.domain / f"{lane.split}.json"

    def prefix(self, lane: Lane) -> Path:
        return self.corpus / lane.domain / lane.split

    def removed(self, lane: Lane) -> Path:
        return self.corpus / lane.domain / f"{lane.split}.removed"

    def quarantine(self, lane: Lane) -> Path:
        return self.corpus / lane.domain / f"{lane.split}.quarantine.jsonl"
