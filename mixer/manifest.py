"""``mixture.json``: what lies in a corpus folder, read before any token is."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

FILE_NAME = "mixture.json"
FORMAT = "glotmix-corpus"
VERSION = 1
SPLITS = ("train", "validation", "test")
DOMAIN_NAME = re.compile(r"[\w][\w.+-]*")
CHECKSUM = re.compile(r"blake2b:[0-9a-f]{40}")


@dataclass(frozen=True, kw_only=True)
class SplitEntry:
    """One domain's share of one split.

    Attributes:
        prefix: Path of the shard without ``.bin``/``.idx``, relative to the manifest, with ``/``.
        tokens: Tokens in the shard, end-of-document tokens included.
        bytes: UTF-8 bytes of the text behind those tokens.
        documents: Documents in the shard.
        source: Where the text came from, as the user named it.
        checksum: Digest of the data file, ``blake2b:`` and 40 hexadecimal digits; may be empty.
        quarantined: Bad documents left out, counted by reason.
        largest_token: The largest id in the shard; None if it holds none or was never scanned.
    """

    prefix: str
    tokens: int
    bytes: int
    documents: int
    source: str = ""
    checksum: str = ""
    quarantined: Mapping[str, int] = field(default_factory=dict)
    largest_token: int | None = None

    def __post_init__(self) -> None:
        path = PurePosixPath(self.prefix)
        if path.is_absolute() or ".." in path.parts or not path.parts:
            raise ValueError(
                f"prefix must stay inside the corpus folder, got {self.prefix!r}; "
                "move or link the shard into the folder"
            )
        for name in ("tokens", "bytes", "documents"):
            value = getattr(self, name)
            if not _is_count(value):
                raise ValueError(f"{name} of {self.prefix} must be a count, got {value!r}")
        if self.largest_token is not None and not _is_count(self.largest_token):
            raise ValueError(
                f"largest_token of {self.prefix} must be a count or None, got "
                f"{self.largest_token!r}"
            )
        if self.checksum and not CHECKSUM.fullmatch(self.checksum):
            raise ValueError(
                f"checksum of {self.prefix} must be 'blake2b:' and 40 hexadecimal digits, or "
                f"empty, got {self.checksum!r}"
            )


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What a corpus holds.

    Attributes:
        tokenizer: How text became tokens: ``byte``, or the name of a ``tokenizer.json`` in the
            folder, or empty if it is not known (bits per byte then use each domain's mean).
        vocab_size: Token ids are below it.
        end_of_document: Id of the token that closes each document, or None.
        domains: For each domain its splits, in the order in which mixtures are written.
    """

    tokenizer: str
    vocab_size: int
    end_of_document: int | None
    domains: Mapping[str, Mapping[str, SplitEntry]]

    def __post_init__(self) -> None:
        if self.vocab_size < 1:
            raise ValueError(f"vocab_size must be at least 1, got {self.vocab_size}")
        end = self.end_of_document
        if end is not None and not (_is_count(end) and end < self.vocab_size):
            raise ValueError(
                f"end_of_document must be below vocab_size {self.vocab_size}, got {end!r}"
            )
        if not self.domains:
            raise ValueError("a corpus needs at least one domain, got none")
        for domain, splits in self.domains.items():
            check_domain_name(domain)
            for split, entry in splits.items():
                if split not in SPLITS:
                    raise ValueError(f"split of {domain} must be one of {SPLITS}, got {split!r}")
                if entry.largest_token is not None and entry.largest_token >= self.vocab_size:
                    raise ValueError(
                        f"token ids must be below vocab_size {self.vocab_size}, {entry.prefix} "
                        f"holds {entry.largest_token}; name the tokenizer that made the shard"
                    )

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self.domains)

    def save(self, folder: Path) -> None:
        """Write ``mixture.json`` in one step: a reader sees the old one or the new one."""
        document = {"format": FORMAT, "version": VERSION, **dataclasses.asdict(self)}
        partial = folder / (FILE_NAME + ".partial")
        with partial.open("w", encoding="utf-8") as file:
            json.dump(document, file, indent=2, ensure_ascii=False)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(folder / FILE_NAME)

    @classmethod
    def load(cls, folder: Path) -> Manifest:
        """Read ``mixture.json``.

        Raises:
            ValueError: The file is missing, is no manifest, or breaks a rule of this class.
        """
        path = folder / FILE_NAME
        if not path.is_file():
            raise ValueError(
                f"{folder} holds no {FILE_NAME}; make one with `glotmix prepare`, or, for Megatron "
                "shards made elsewhere, with `glotmix manifest`"
            )
        try:
            document = json.loads(path.read_text(encoding="utf-8"))
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{path} is not JSON: {error}") from error
        if not isinstance(document, dict) or document.get("format") != FORMAT:
            raise ValueError(f"{path} is not a corpus manifest (format must be {FORMAT!r})")
        if document.get("version") != VERSION:
            raise ValueError(f"{path}: version must be {VERSION}, got {document.get('version')!r}")
        try:
            return cls(
                tokenizer=str(document["tokenizer"]),
                vocab_size=int(document["vocab_size"]),
                end_of_document=document["end_of_document"],
                domains={
                    domain: {split: _entry(entry) for split, entry in splits.items()}
                    for domain, splits in document["domains"].items()
                },
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} is not a complete manifest: {error!r}") from error
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error


def _is_count(value: object) -> bool:
    return isinstance(value, int) and value >= 0


def _entry(document: Mapping[str, Any]) -> SplitEntry:
    known = {field.name for field in dataclasses.fields(SplitEntry)}
    if unknown := set(document) - known:
        raise ValueError(f"unknown keys {sorted(unknown)}; known are {sorted(known)}")
    return SplitEntry(**document)


def check_domain_name(name: str) -> None:
    """Refuse names that cannot be a folder, a metric tag and a YAML key at once."""
    if not DOMAIN_NAME.fullmatch(name):
        raise ValueError(
            f"a domain's name must be letters, digits, '_', '-', '+' or '.', got {name!r}"
        )
