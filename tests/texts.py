"""Folders of text for the tests, made on the fly."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Iterable, Mapping
from pathlib import Path

import zstandard


def jsonl(texts: Iterable[str]) -> bytes:
    return b"".join(json.dumps({"text": text}).encode() + b"\n" for text in texts)


def packed(name: str, content: bytes) -> bytes:
    """Compress as the name says."""
    if name.endswith(".zst"):
        return zstandard.ZstdCompressor().compress(content)
    return gzip.compress(content) if name.endswith(".gz") else content


def words(seed: int, count: int, alphabet: str = "abcdefghij") -> str:
    """Made-up words, some of them frequent."""
    generator = random.Random(seed)
    lexicon = ["".join(generator.choices(alphabet, k=generator.randint(1, 7))) for _ in range(50)]
    return " ".join(generator.choices(lexicon, weights=range(50, 0, -1), k=count))


def write_texts(folder: Path, files: Mapping[str, bytes | Iterable[str]]) -> Path:
    """Write ``DOMAIN/SPLIT.SUFFIX`` files; texts become JSON lines, bytes stay as they are."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = content if isinstance(content, bytes) else jsonl(content)
        path.write_bytes(packed(name, content))
    return folder


def tree(folder: Path) -> dict[str, bytes]:
    """All visible files of a folder with their content."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not any(part.startswith(".") for part in path.parts)
    }
