"""The shards of a lane's tasks made one, and the corpus's manifest."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from datatrove.pipeline.base import PipelineStep

from mixer.indexed import ShardWriter, TokenShard, bin_path, idx_path, move_shard
from mixer.manifest import Manifest, SplitEntry
from mixer.pipeline.columns import save_column
from mixer.pipeline.configuration import Lane
from mixer.pipeline.lane_receipt import LaneReceipt, Tally
from mixer.pipeline.stages import Stage
from mixer.pipeline.tally import tally
from mixer.pipeline.tokenize_documents import Part
from mixer.pipeline.workplace import Workplace
from mixer.sampling.scores import scores_path
from mixer.tokenizer_choice import Choice


class JoinLane(PipelineStep):
    """Puts the shard of a lane where it belongs, and beside it what is known of it.

    Args:
        work: Where the parts are.
        stages: The stages that made them.
        lane: The lane.
        fingerprint: What its receipt is to say.
        source: Where its text came from.
        max_bad_fraction: Largest share of bad documents to put up with.
        columns: Numbers kept beside the shard.
    """

    type, name = "JOIN", "Parts of a shard"

    def __init__(
        self,
        work: Workplace,
        stages: Sequence[Stage],
        lane: Lane,
        *,
        fingerprint: str,
        source: str,
        max_bad_fraction: float,
        columns: Sequence[str],
    ) -> None:
        super().__init__()
        self.work = work
        self.stages = tuple(stages)
        self.lane = lane
        self.fingerprint = fingerprint
        self.source = source
        self.max_bad_fraction = max_bad_fraction
        self.columns = tuple(columns)

    def run(self, data: None = None, rank: int = 0, world_size: int = 1) -> None:
        """Join, check, and write the receipt.

        Raises:
            ValueError: Too many documents are bad, or none is left to train on.
        """
        work, lane = self.work, self.lane
        counts = tally(work, self.stages, lane)
        self._quarantine()
        self._check(counts)
        for receipt_path in (work.receipt(lane), work.small_receipt(lane)):
            receipt_path.unlink(missing_ok=True)
        folder, prefix = work.lane(lane, "tokens"), work.prefix(lane)
        parts = [folder / f"{part:05d}" for part in range(lane.tasks)]
        records = [Part.load(part) for part in parts]
        if not sum(record.documents for record in records) and lane.split == "train":
            raise ValueError(
                f"{lane.label} is left with no documents of {counts.read}; see what was removed "
                f"in {work.removed(lane)}"
            )
        for name in self.columns:
            values = [np.load(scores_path(part, name)) for part in parts]
            save_column(scores_path(prefix, name), values)
        total = _join(parts, records, prefix)
        entry = SplitEntry(
            prefix=lane.label,
            tokens=total.tokens,
            bytes=total.bytes,
            documents=total.documents,
            source=self.source,
            checksum=total.checksum,
            quarantined=counts.quarantined,
            largest_token=total.largest_token,
        )
        receipt = LaneReceipt(fingerprint=self.fingerprint, tally=counts, entry=entry)
        receipt.save(work.receipt(lane))

    def _check(self, counts: Tally) -> None:
        bad = sum(counts.quarantined.values())
        if bad > self.max_bad_fraction * counts.read:
            reasons = ", ".join(f"{n} x {reason}" for reason, n in counts.quarantined.items())
            raise ValueError(
                f"{self.lane.label}: {bad} of {counts.read} documents are bad ({reasons}), more "
                f"than max_bad_fraction {self.max_bad_fraction}; mend the text or raise it"
            )

    def _quarantine(self) -> None:
        path = self.work.quarantine(self.lane)
        lists = sorted(self.work.lane(self.lane, "quarantine").glob("*.jsonl"))
        if not lists:
            path.unlink(missing_ok=True)
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as target:
            for one in lists:
                with one.open("rb") as source:
                    shutil.copyfileobj(source, target)


def _join(parts: Sequence[Path], records: Sequence[Part], prefix: Path) -> Part:
    if len(parts) == 1:
        # Killed in the midst of this, a task may find either file moved already.
        if bin_path(parts[0]).exists():
            move_shard(parts[0], prefix)
        elif idx_path(parts[0]).exists():
            idx_path(parts[0]).replace(idx_path(prefix))
        return records[0]
    with ShardWriter(prefix, dtype=TokenShard.open(parts[0]).tokens.dtype) as writer:
        for part in parts:
            writer.add_shard(TokenShard.open(part))
    return Part(
        tokens=writer.num_tokens,
        bytes=sum(record.bytes for record in records),
        documents=writer.num_documents,
        largest_token=writer.largest_token,
        checksum=writer.checksum,
    )


class WriteManifest(PipelineStep):
    """Writes ``mixture.json`` once all lanes are done.

    Args:
        work: Where the lanes' receipts are.
        lanes: All lanes of the corpus.
        tokenizer: The corpus's tokenizer.
    """

    type, name = "JOIN", "Manifest"

    def __init__(self, work: Workplace, lanes: Sequence[Lane], tokenizer: Choice) -> None:
        super().__init__()
        self.work = work
        self.lanes = tuple(lanes)
        self.tokenizer = tokenizer

    def run(self, data: None = None, rank: int = 0, world_size: int = 1) -> None:
        """Write it."""
        domains: dict[str, dict[str, SplitEntry]] = {}
        for lane, receipt in receipts(self.work, self.lanes):
            if receipt.entry.documents:
                domains.setdefault(lane.domain, {})[lane.split] = receipt.entry
        Manifest(
            tokenizer=self.tokenizer.name,
            vocab_size=self.tokenizer.vocab_size,
            end_of_document=self.tokenizer.end_of_document,
            domains=domains,
        ).save(self.work.corpus)


def receipts(work: Workplace, lanes: Sequence[Lane]) -> list[tuple[Lane, LaneReceipt]]:
    """All lanes with their receipts.

    Raises:
        ValueError: A lane is not done.
    """
    found = [(lane, LaneReceipt.load(work.receipt(lane))) for lane in lanes]
    if missing := [lane.label for lane, receipt in found if receipt is None]:
        raise ValueError(f"not done: {', '.join(missing)}; run the pipeline again")
    return [(lane, receipt) for lane, receipt in found if receipt is not None]
