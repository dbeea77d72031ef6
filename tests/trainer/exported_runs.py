"""Folders of made-up runs, and what `glotmix export` makes of a run."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

from small_runs import configuration, write

from trainer import cli


def written_run(folder: Path, corpus: Path, weights: Mapping[str, float | None]) -> Path:
    """A run's folder as far as exports read it, 90 of 100 steps of 256 tokens done."""
    rows = {name: {"mean_weight": weight, "weight": weight} for name, weight in weights.items()}
    summary = {"format": "glotmix-run", "policy": "UCB", "step": 90, "max_steps": 100}
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps(summary | {"finished": False, "domains": rows}))
    write(configuration(corpus, folder), folder).rename(folder / "config.yaml")
    return folder


def export(line: str, *more: object) -> None:
    """Run the command as a shell would."""
    with mock.patch.object(sys, "argv", ["glotmix", "export", *shlex.split(line), *map(str, more)]):
        cli.main()


def exported(tmp_path: Path, run: Path, line: str) -> str:
    """What the command writes to a file, and nothing beside it."""
    out = tmp_path / "new" / "out"
    export(line, run, "--out", out)
    assert [path.name for path in out.parent.iterdir()] == ["out"]
    return out.read_text()
