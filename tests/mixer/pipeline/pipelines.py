"""Pipelines for the tests: a folder of text, a configuration, a run."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

from mixer.pipeline.run import run_pipeline

READER = "mixer.pipeline.text_reader.TextReader"
INLINE = "inline_executor.Inline"


def configured(folder: Path, source: Path, **settings: Any) -> Path:
    """Write a configuration that reads ``SOURCE/DOMAIN/SPLIT.*``, run in this process."""
    reader = {"data_folder": str(source), "glob_pattern": "{domain}/{split}.*"}
    document = {
        "domains": str(source / "*"),
        "reader": {"class_path": READER, "init_args": reader},
        "executor": INLINE,
    }
    path = folder / "pipeline.yaml"
    path.write_text(json.dumps(document | settings))
    return path


def run(folder: Path, source: Path, out: Path, **settings: Any) -> None:
    run_pipeline(configured(folder, source, **settings), out)


def removed(folder: Path) -> list[dict[str, Any]]:
    """What was removed, over all tasks, in their order."""
    return [
        json.loads(line)
        for path in sorted(folder.glob("*.jsonl.gz"))
        for line in gzip.decompress(path.read_bytes()).splitlines()
    ]
