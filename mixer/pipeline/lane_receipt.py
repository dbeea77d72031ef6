"""What became of a lane, remembered so that it is done once."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from mixer.indexed import TokenShard, partial_path
from mixer.manifest import SplitEntry

# Another number makes everything be done again: raise it when reading or tokenising changes.
VERSION = 1


@dataclass(frozen=True, kw_only=True)
class Tally:
    """Where the documents of a lane went.

    Attributes:
        read: Documents read, bad ones included.
        quarantined: Bad ones, by what is wrong with them.
        removed: Those that a step removed, by step and reason.
        exact_duplicates: Those that are the copy of one that stays.
        near_duplicates: Those that resemble one that stays.
        seconds: Time of all tasks together.
    """

    read: int
    quarantined: Mapping[str, int] = field(default_factory=dict)
    removed: Mapping[str, int] = field(default_factory=dict)
    exact_duplicates: int = 0
    near_duplicates: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class LaneReceipt:
    """A lane that is done.

    Attributes:
        fingerprint: Digest of the input files and of what was done to them.
        tally: Where the documents went.
        entry: What the manifest says of the shard.
    """

    fingerprint: str
    tally: Tally
    entry: SplitEntry

    @classmethod
    def load(cls, path: Path) -> LaneReceipt | None:
        """Read a receipt; one that is missing or cannot be read is None: work is done again."""
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
            return cls(
                fingerprint=document["fingerprint"],
                tally=Tally(**document["tally"]),
                entry=SplitEntry(**document["entry"]),
            )
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def save(self, path: Path) -> None:
        """Write the receipt in one step."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = partial_path(path)
        partial.write_text(json.dumps(dataclasses.asdict(self), indent=1), encoding="utf-8")
        partial.replace(path)


def fingerprint(recipe: object) -> str:
    """Digest of something that JSON can hold."""
    text = json.dumps([VERSION, recipe], sort_keys=True, default=str)
    return hashlib.blake2b(text.encode(), digest_size=20).hexdigest()


def is_done(path: Path, wanted: str, prefix: Path) -> bool:
    """Whether a lane was done just as it is wanted, and its shard is whole.

    Args:
        path: The receipt.
        wanted: The fingerprint.
        prefix: The shard.
    """
    receipt = LaneReceipt.load(path)
    if receipt is None or receipt.fingerprint != wanted:
        return False
    try:
        shard = TokenShard.open(prefix)
    except ValueError:
        return False
    return (len(shard.tokens), shard.num_documents) == (
        receipt.entry.tokens,
        receipt.entry.documents,
    )
