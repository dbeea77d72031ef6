"""The work of `glotmix lid filter`: one file's documents dealt to what is kept and what is not."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from mixer.languages.filter_receipts import Counts, FilterReceipt, identity
from mixer.languages.filter_rule import Removal, Rule
from mixer.languages.originals import Original, read_originals
from mixer.quarantine import Quarantine
from mixer.sources import SourceFile
from mixer.text_writer import TextWriter

FOLDER = ".filter"


class Output(NamedTuple):
    """A file to write, and where it waits until all of the corpus is done."""

    folder: Path
    name: str

    @property
    def staged(self) -> Path:
        return self.folder / FOLDER / self.name

    @property
    def final(self) -> Path:
        return self.folder / self.name


@dataclass(frozen=True)
class FilterFile:
    """The task of filtering one file.

    Attributes:
        source: The file.
        out: Folder for what is kept.
        removed: Folder for what is not.
        rule: What is kept.
        max_bad_fraction: Largest share of bad documents to put up with.
    """

    source: SourceFile
    out: Path
    removed: Path
    rule: Rule
    max_bad_fraction: float

    @property
    def label(self) -> str:
        return self.source.label

    @property
    def size(self) -> int:
        return self.source.size

    @property
    def outputs(self) -> dict[str, Output]:
        prefix = f"{self.source.domain}/{self.source.split}"
        return {
            "kept": Output(self.out, f"{self.source.domain}/{self.source.path.name}"),
            "removed": Output(self.removed, f"{prefix}.jsonl.zst"),
            "bad": Output(self.removed, f"{prefix}.quarantine.jsonl"),
        }

    @property
    def receipt_path(self) -> Path:
        return self.out / FOLDER / self.source.domain / f"{self.source.split}.json"

    def receipt(self) -> FilterReceipt | None:
        """The receipt, if the file was filtered by this rule and all that was written is there."""
        receipt = FilterReceipt.load(self.receipt_path)
        if receipt is None or receipt.rule != self.rule.digest():
            return None
        if receipt.source != identity(self.source):
            return None
        for name, size in receipt.written.items():
            output = self.outputs[name]
            path = output.staged if output.staged.exists() else output.final
            if not path.exists() or path.stat().st_size != size:
                return None
        return receipt

    def run(self, report: Callable[[int], object]) -> None:
        """Write what is kept, what is removed, what is bad, and then the receipt.

        Raises:
            ValueError: The file is to be trained on and nothing is left of it, or too much is bad.
        """
        self.receipt_path.unlink(missing_ok=True)
        kept, removed, bad = (output.staged for output in self.outputs.values())
        quarantine = Quarantine(self.label, self.max_bad_fraction)
        counts, done = Counts(), 0
        with TextWriter(kept) as keep, TextWriter(removed) as remove:
            for original in read_originals(self.source.path, quarantine):
                self._deal(original, counts, keep, remove)
                report(original.document.position - done)
                done = original.document.position
            self.source.check_unchanged()
            quarantine.check()
            self._check_left(counts)
        quarantine.save(bad)
        for writer in (keep, remove):
            writer.drop_if_empty()
        counts.quarantined = dict(quarantine.counts)
        written = {
            name: output.staged.stat().st_size
            for name, output in self.outputs.items()
            if output.staged.exists()
        }
        receipt = FilterReceipt(identity(self.source), self.rule.digest(), written, counts)
        receipt.save(self.receipt_path)
        report(self.size - done)

    def finish(self, receipt: FilterReceipt) -> None:
        """Give what was written its final place; what an earlier run had written there goes."""
        for name, output in self.outputs.items():
            if output.staged.exists():
                output.final.parent.mkdir(parents=True, exist_ok=True)
                output.staged.replace(output.final)
            elif name not in receipt.written:
                output.final.unlink(missing_ok=True)

    def _check_left(self, counts: Counts) -> None:
        if self.source.split == "train" and not counts.kept:
            raise ValueError(
                f"nothing of {self.label} was kept ({counts.removed} documents were taken for "
                f"{', '.join(list(counts.taken_for)[:3]) or 'nothing'}); lower its threshold, "
                "correct its label, or leave it out"
            )

    def _deal(
        self, original: Original, counts: Counts, keep: TextWriter, remove: TextWriter
    ) -> None:
        document = original.document
        decision = self.rule.decide(document.text)
        counts.documents += 1
        counts.bytes += document.num_bytes
        counts.paragraphs += decision.paragraphs
        counts.removed_paragraphs += decision.removed_paragraphs
        counts.undecided += decision.undecided
        for removal in decision.removals:
            taken_for = removal.verdict.taken_for
            counts.taken_for[taken_for] = counts.taken_for.get(taken_for, 0) + 1
            counts.removed_bytes += len(removal.text.encode())
            remove.add(_record(original, removal))
        if decision.rest is None:
            counts.removed += 1
            return
        counts.kept += 1
        counts.shortened += bool(decision.removals)
        keep.add(original.with_text(decision.rest) if decision.removals else original.data)


def _record(original: Original, removal: Removal) -> bytes:
    record = {
        "line": original.document.line,
        "paragraph": removal.paragraph,
        "score": round(removal.verdict.score, 4),
        "taken_for": removal.verdict.taken_for,
        "text": removal.text,
        "fields": original.fields,
    }
    return json.dumps(record, ensure_ascii=False).encode()
