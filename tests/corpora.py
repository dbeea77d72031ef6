"""Tiny corpora for the tests."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from mixer.indexed import ShardWriter
from mixer.manifest import SPLITS, Manifest, SplitEntry

END = 256
SIZES = {"en": 60_000, "de": 20_000, "sw": 3_000}


def write_corpus(folder: Path, sizes: Mapping[str, int] = SIZES) -> Path:
    """Byte-token shards of made-up words, each domain with its own vocabulary."""
    domains: dict[str, dict[str, SplitEntry]] = {}
    for number, (name, size) in enumerate(sizes.items()):
        generator = np.random.default_rng(number)
        words = [generator.integers(97, 123, generator.integers(2, 8)) for _ in range(100)]
        domains[name] = {}
        for split in SPLITS:
            wanted = size if split == "train" else 2_000
            with ShardWriter(folder / name / split, dtype=np.dtype("<u2")) as writer:
                tokens = 0
                while tokens < wanted:
                    picks = np.minimum(generator.zipf(1.5, 30), 100) - 1
                    pieces = [np.r_[words[pick], 32] for pick in picks]
                    document = np.concatenate([*pieces, [END]])
                    writer.add_document(document)
                    tokens += len(document)
                documents = writer.num_documents
            domains[name][split] = SplitEntry(
                prefix=f"{name}/{split}",
                tokens=tokens,
                bytes=tokens - documents,
                documents=documents,
            )
    Manifest(tokenizer="byte", vocab_size=257, end_of_document=END, domains=domains).save(folder)
    return folder
