"""What `glotmix prepare` remembers of finished work, so that it is done once."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from mixer.indexed import ShardWriter, TokenShard, partial_path
from mixer.quarantine import Entry, Quarantine
from mixer.sources import SourceFile

FOLDER = ".prepare"
# Another number makes everything be done again: raise it when reading or tokenising changes.
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What became of a file of text, or a part of one.

    Attributes:
        source: Name of the file, without its folder.
        source_size: Its size in bytes.
        source_mtime_ns: When it was last changed.
        tokenizer: Fingerprint of the tokenizer.
        tokens: Tokens in the shard.
        bytes: UTF-8 bytes of the text behind them.
        documents: Documents in the shard.
        largest_token: The largest id, None without tokens.
        checksum: Digest of the data file.
        seen: Documents read, good and bad.
        quarantined: Bad ones by reason.
        entries: The bad ones that were kept: line, reason and detail.
    """

    source: str
    source_size: int
    source_mtime_ns: int
    tokenizer: str
    tokens: int
    bytes: int
    documents: int
    largest_token: int | None
    checksum: str
    seen: int
    quarantined: Mapping[str, int]
    entries: tuple[Entry, ...]
    version: int = VERSION

    @classmethod
    def of(
        cls,
        source: SourceFile,
        tokenizer: str,
        writer: ShardWriter,
        num_bytes: int,
        quarantine: Quarantine,
    ) -> Receipt:
        return cls(
            source=source.path.name,
            source_size=source.size,
            source_mtime_ns=source.mtime_ns,
            tokenizer=tokenizer,
            tokens=writer.num_tokens,
            bytes=num_bytes,
            documents=writer.num_documents,
            largest_token=writer.largest_token,
            checksum=writer.checksum,
            seen=quarantine.seen,
            quarantined=dict(quarantine.counts),
            entries=tuple(quarantine.entries),
        )

    @classmethod
    def load(cls, path: Path) -> Receipt | None:
        """Read a receipt; one that is missing or cannot be read is None: work is done again."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            entries = tuple(Entry(*entry) for entry in document.pop("entries"))
            return cls(**document, entries=entries)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None

    def save(self, path: Path) -> None:
        """Write the receipt in one step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = partial_path(path)
        partial.write_text(json.dumps(dataclasses.asdict(self), indent=1), encoding="utf-8")
        partial.replace(path)

    def quarantine(self, file: str, max_bad_fraction: float) -> Quarantine:
        """The bad documents, as they were when the receipt was written."""
        quarantine = Quarantine(file, max_bad_fraction)
        quarantine.extend(self.seen, self.quarantined, self.entries)
        return quarantine


def is_done(path: Path, source: SourceFile, tokenizer: str, prefix: Path) -> bool:
    """Whether there is a receipt for this file and tokenizer, and the shard it is for is whole.

    Args:
        path: The receipt.
        source: The file of text.
        tokenizer: Fingerprint of the tokenizer.
        prefix: The shard.
    """
    receipt = Receipt.load(path)
    if receipt is None or receipt.tokenizer != tokenizer or receipt.version != VERSION:
        return False
    made_of = (receipt.source, receipt.source_size, receipt.source_mtime_ns)
    if made_of != (source.path.name, source.size, source.mtime_ns):
        return False
    try:
        shard = TokenShard.open(prefix)
    except ValueError:
        return False
    return (len(shard.tokens), shard.num_documents) == (receipt.tokens, receipt.documents)
