"""A scarcer copy of a folder of text: every n-th training document, the other splits whole.

    python benchmarks/thin_corpus.py FOLDER_OF_TEXT OUT --every 8

Makes small languages repeat many times within a budget that a CPU can train.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path

import zstandard

from mixer.documents import read_lines
from mixer.sources import SourceFile, find_sources


def thin(source: SourceFile, out: Path, every: int) -> tuple[int, int]:
    """Write every n-th document of a JSONL file, from the first; returns those kept and all."""
    lines = [line.data for line in read_lines(source.path) if line.data]
    kept = lines[::every]
    (out / f"{source.split}.jsonl.zst").write_bytes(
        zstandard.compress(b"\n".join([*kept, b""]), level=10)
    )
    return len(kept), len(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--every", type=int, default=8)
    options = parser.parse_args()
    if options.every < 1:
        parser.error(f"--every must be at least 1, got {options.every}")
    sources, remarks = find_sources(options.folder)
    for remark in remarks:
        print(remark)
    for source in sources:
        if ".jsonl" not in source.path.name:
            parser.error(f"{source.label} must be JSONL, a document per line")
        out = options.out / source.domain
        out.mkdir(parents=True, exist_ok=True)
        if source.split == "train":
            kept, total = thin(source, out, options.every)
            print(f"{source.domain}: {kept} of {total} training documents")
        else:
            shutil.copyfile(source.path, out / source.path.name)


if __name__ == "__main__":
    main()
