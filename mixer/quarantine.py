"""Bad documents: set aside, counted, shown, and too many of them refused."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

ENTRIES_PER_REASON = 100
ENOUGH_DOCUMENTS = 1000


class Entry(NamedTuple):
    """One bad document.

    Attributes:
        line: Where it begins in its file, from 1.
        reason: What is wrong, in words that are the same for all such documents.
        detail: What is wrong with this one; may be empty.
    """

    line: int
    reason: str
    detail: str


def check_fraction(max_bad_fraction: float) -> None:
    if not 0 <= max_bad_fraction <= 1:
        raise ValueError(f"max_bad_fraction must be from 0 to 1, got {max_bad_fraction}")


class Quarantine:
    """The bad documents of one file.

    All are counted; of each reason the first 100 are kept, so that a file of nothing but rubbish
    fills neither memory nor disk.

    Args:
        file: The file, as it is to be named in messages.
        max_bad_fraction: Largest share of bad documents to put up with, from 0 to 1.

    Attributes:
        seen: Documents read so far, good and bad.
        counts: Bad ones by reason.
        entries: Those that are kept, in the order of the file.
    """

    def __init__(self, file: str, max_bad_fraction: float) -> None:
        check_fraction(max_bad_fraction)
        self.file = file
        self.max_bad_fraction = max_bad_fraction
        self.seen = 0
        self.counts: Counter[str] = Counter()
        self.entries: list[Entry] = []

    def accept(self) -> None:
        """Count a good document."""
        self.seen += 1

    def add(self, line: int, reason: str, detail: str = "") -> None:
        """Set a bad document aside.

        Raises:
            ValueError: Of at least 1000 documents read so far more than ``max_bad_fraction`` are
                bad.
        """
        self.seen += 1
        self.counts[reason] += 1
        if self.counts[reason] <= ENTRIES_PER_REASON:
            self.entries.append(Entry(line, reason, detail))
        if self.seen >= ENOUGH_DOCUMENTS:
            self.check()

    def extend(self, seen: int, counts: Mapping[str, int], entries: Iterable[Entry]) -> None:
        """Add what was found in a later part of the same file."""
        for entry in entries:
            kept = sum(known.reason == entry.reason for known in self.entries)
            if kept < ENTRIES_PER_REASON:
                self.entries.append(entry)
        self.seen += seen
        self.counts.update(counts)

    def check(self) -> None:
        """Stop if too much is bad.

        Raises:
            ValueError: More than ``max_bad_fraction`` of the documents read so far are bad.
        """
        bad = self.counts.total()
        if bad > self.max_bad_fraction * self.seen:
            reasons = ", ".join(f"{n} x {reason}" for reason, n in self.counts.most_common())
            first = self.entries[0]
            raise ValueError(
                f"{self.file}: {bad} of {self.seen} documents are bad ({reasons}; the first at "
                f"line {first.line}: {first.reason}{first.detail and ', ' + first.detail}), more "
                f"than max_bad_fraction {self.max_bad_fraction}; mend the file or raise "
                "max_bad_fraction"
            )

    def save(self, path: Path) -> None:
        """Write the kept entries as JSON lines; a file without any gets none."""
        if not self.entries:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", encoding="utf-8") as file:
            for entry in self.entries:
                record = {"file": self.file, **entry._asdict()}
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
