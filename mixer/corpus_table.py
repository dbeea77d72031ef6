"""What a corpus holds, as a table to read."""

from __future__ import annotations

from collections.abc import Sequence

from mixer.compressed import LOSSES
from mixer.manifest import Manifest, SplitEntry

HEAD: tuple[str, ...] = (
    "domain",
    "documents",
    "MB of text",
    "tokens",
    "bytes/token",
    "quarantined",
)


def corpus_table(manifest: Manifest) -> str:
    """One row per domain over all its splits, a last row for all, and a line per file cut short."""
    entries = [entry for splits in manifest.domains.values() for entry in splits.values()]
    rows = [HEAD]
    rows += [_row(name, list(splits.values())) for name, splits in manifest.domains.items()]
    rows += [_row("all", entries)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for name, *numbers in rows:
        cells = [number.rjust(width) for number, width in zip(numbers, widths[1:], strict=True)]
        lines.append("  ".join([name.ljust(widths[0]), *cells]))
    for entry in entries:
        lines += [
            f"WARNING: {entry.source} is cut short ({loss}): what comes after is lost"
            for loss in LOSSES
            if loss in entry.quarantined
        ]
    return "\n".join(lines)


def _row(name: str, entries: Sequence[SplitEntry]) -> tuple[str, ...]:
    size = sum(entry.bytes for entry in entries)
    tokens = sum(entry.tokens for entry in entries)
    return (
        name,
        f"{sum(entry.documents for entry in entries):,}",
        f"{size / 1e6:,.2f}" if size else "-",
        f"{tokens:,}",
        f"{size / tokens:.2f}" if size and tokens else "-",
        f"{sum(sum(entry.quarantined.values()) for entry in entries):,}",
    )
