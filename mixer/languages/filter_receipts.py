"""What `glotmix lid filter` counts, and remembers of finished files so that they are done once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mixer.indexed import partial_path
from mixer.sources import SourceFile

# Another number makes everything be done again: raise it when judging or writing changes.
VERSION = 1


@dataclass
class Counts:
    """What became of the text of a file; every document and paragraph read is kept or removed.

    Attributes:
        documents: Good documents read.
        kept: Those that were kept, shortened or not.
        shortened: Those of them that lost paragraphs.
        removed: Those that were removed whole.
        paragraphs: Paragraphs read, empty lines not counted; 0 if whole documents are judged.
        removed_paragraphs: Those that were removed, with their documents or by themselves.
        undecided: Documents or paragraphs with too little prose to be judged.
        bytes: UTF-8 bytes of the text read.
        removed_bytes: Those that were removed.
        taken_for: How many removed documents or paragraphs were taken for each label.
        quarantined: Bad documents by reason; they are neither kept nor removed.
    """

    documents: int = 0
    kept: int = 0
    shortened: int = 0
    removed: int = 0
    paragraphs: int = 0
    removed_paragraphs: int = 0
    undecided: int = 0
    bytes: int = 0
    removed_bytes: int = 0
    taken_for: dict[str, int] = field(default_factory=dict)
    quarantined: dict[str, int] = field(default_factory=dict)

    def add(self, other: Counts) -> None:
        """Add what became of another file."""
        for name, value in vars(other).items():
            if isinstance(value, dict):
                mine = getattr(self, name)
                for key, number in value.items():
                    mine[key] = mine.get(key, 0) + number
            else:
                setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True)
class FilterReceipt:
    """The receipt for a file that was filtered.

    Attributes:
        source: The file that was read: name, size, and time of change in nanoseconds.
        rule: Fingerprint of everything that decides what is kept.
        written: Sizes of the files written, by what they hold.
        counts: What became of its text.
    """

    source: tuple[str, int, int]
    rule: str
    written: Mapping[str, int]
    counts: Counts

    @classmethod
    def load(cls, path: Path) -> FilterReceipt | None:
        """Read a receipt; one that is missing or cannot be read is None: work is done again."""
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            name, size, mtime_ns = record["source"]
            counts = Counts(**record["counts"])
            return cls((name, size, mtime_ns), record["rule"], record["written"], counts)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def save(self, path: Path) -> None:
        """Write the receipt in one step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = partial_path(path)
        partial.write_text(json.dumps(dataclasses.asdict(self), indent=1), encoding="utf-8")
        partial.replace(path)


def identity(source: SourceFile) -> tuple[str, int, int]:
    return source.path.name, source.size, source.mtime_ns
