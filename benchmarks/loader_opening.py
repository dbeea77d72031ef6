"""Opening a corpus of thousands of domains: time and memory, measured in a process of its own.

`measure` writes the corpus and starts ``python benchmarks/loader_opening.py FOLDER``.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import psutil

from mixer.corpus import Corpus
from mixer.indexed import ShardWriter
from mixer.manifest import Manifest, SplitEntry
from mixer.mixture import Mixture

NUM_DOMAINS, NUM_TOKENS, NUM_BATCHES, BATCH, LENGTH, SEED = 2000, 4096, 50, 32, 1024, 7


def write_corpus(folder: Path) -> None:
    generator = np.random.default_rng(SEED)
    domains: dict[str, dict[str, SplitEntry]] = {}
    for number in range(NUM_DOMAINS):
        name = f"domain{number}"
        with ShardWriter(folder / name / "train", dtype=np.dtype("<u2")) as writer:
            for _ in range(4):
                writer.add_document(generator.integers(0, 2**16, size=NUM_TOKENS // 4))
        entry = SplitEntry(
            prefix=f"{name}/train", tokens=NUM_TOKENS, bytes=4 * NUM_TOKENS, documents=4
        )
        domains[name] = {"train": entry}
    manifest = Manifest(tokenizer="", vocab_size=2**16, end_of_document=None, domains=domains)
    manifest.save(folder)


def open_corpus(folder: Path) -> dict[str, float]:
    """Seconds and MB, of what comes after the imports."""
    process = psutil.Process()
    memory, start = process.memory_info().rss, time.perf_counter()
    streams = Corpus(folder).streams("train", sequence_length=LENGTH, seed=SEED)
    opened = time.perf_counter()
    mixture = Mixture(streams, batch_size=BATCH, seed=SEED)
    built, after_building = time.perf_counter(), process.memory_info().rss
    generator = np.random.default_rng(SEED)
    for _ in range(NUM_BATCHES):
        mixture.set_weights(generator.dirichlet(np.ones(NUM_DOMAINS)))
        mixture.next_batch()
    return {
        "open": opened - start,
        "build": built - opened,
        "batches": time.perf_counter() - built,
        "memory": (after_building - memory) / 1e6,
        "memory_after_batches": (process.memory_info().rss - memory) / 1e6,
    }


def measure(repeats: int) -> dict[str, float]:
    """Medians over fresh processes."""
    with tempfile.TemporaryDirectory(prefix="glotmix-opening-") as name:
        write_corpus(Path(name))
        runs = [
            json.loads(subprocess.check_output([sys.executable, __file__, name]))
            for _ in range(repeats)
        ]
    return {key: statistics.median(run[key] for run in runs) for key in runs[0]}


if __name__ == "__main__":
    print(json.dumps(open_corpus(Path(sys.argv[1]))))
