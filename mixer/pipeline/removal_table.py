"""Where the documents of each language went, as a table to read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from mixer.compressed import LOSSES
from mixer.pipeline.lane_receipt import LaneReceipt

FIRST = ("domain", "documents in", "bad")
LAST = ("exact copies", "near-duplicates", "documents out", "MB out", "tokens out", "minutes")


def removal_table(receipts: Sequence[tuple[str, LaneReceipt]]) -> str:
    """One row per domain over all its splits, a column per cause of removal, a last row for all.

    Args:
        receipts: Domain and receipt of each lane.
    """
    steps = list(dict.fromkeys(cause for _, one in receipts for cause in _causes(one)))
    domains: dict[str, list[LaneReceipt]] = {}
    for domain, receipt in receipts:
        domains.setdefault(domain, []).append(receipt)
    rows = [(*FIRST, *steps, *LAST)]
    rows += [_row(domain, some, steps) for domain, some in domains.items()]
    rows += [_row("all", [receipt for _, receipt in receipts], steps)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *numbers in rows:
        cells = [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *cells]))
    for _, receipt in receipts:
        lines += [
            f"WARNING: text of {receipt.entry.source} is cut short ({loss}): what comes after is "
            "lost"
            for loss in LOSSES
            if loss in receipt.tally.quarantined
        ]
    return "\n".join(lines)


def _causes(receipt: LaneReceipt) -> Counter[str]:
    """Documents by the step that removed them, whatever its reasons."""
    causes: Counter[str] = Counter()
    for cause, count in receipt.tally.removed.items():
        causes[cause.partition(": ")[0]] += count
    return causes


def _row(name: str, receipts: Sequence[LaneReceipt], steps: Sequence[str]) -> tuple[str, ...]:
    removed = sum((_causes(receipt) for receipt in receipts), Counter[str]())
    tallies = [receipt.tally for receipt in receipts]
    entries = [receipt.entry for receipt in receipts]
    return (
        name,
        f"{sum(tally.read for tally in tallies):,}",
        f"{sum(sum(tally.quarantined.values()) for tally in tallies):,}",
        *(f"{removed[step]:,}" for step in steps),
        f"{sum(tally.exact_duplicates for tally in tallies):,}",
        f"{sum(tally.near_duplicates for tally in tallies):,}",
        f"{sum(entry.documents for entry in entries):,}",
        f"{sum(entry.bytes for entry in entries) / 1e6:,.2f}",
        f"{sum(entry.tokens for entry in entries):,}",
        f"{sum(tally.seconds for tally in tallies) / 60:.2f}",
    )
