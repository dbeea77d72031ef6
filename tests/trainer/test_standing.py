"""How runs stand: finished, under way, stopped."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback
from small_runs import configuration, run_here

from trainer import standing as module
from trainer.standing import standing
from trainer.summary import FILE_NAME, LIVE_NAME
from trainer.table import show


def write(folder: Path, name: str, age: float = 0.0, **changes: Any) -> None:
    row = {"tokens": 1.0, "epochs": 1.0, "mean_weight": 1.0}
    document = {"format": "glotmix-run", "policy": "UCB", "step": 5, "max_steps": 20}
    document |= {"finished": False, "domains": {"en": row}} | changes
    path = folder / name
    path.write_text(json.dumps(document))
    os.utime(path, (time.time() - age,) * 2)


HERE = {"host": platform.node(), "pid": os.getpid()}


def test_a_process_that_is_there_runs(tmp_path: Path) -> None:
    write(tmp_path, LIVE_NAME, age=3, process=HERE)
    assert standing(tmp_path)["state"] in ("running, wrote 3 s ago", "running, wrote 4 s ago")
    write(tmp_path, LIVE_NAME, age=7300, process=HERE)
    assert standing(tmp_path)["state"] == "running, wrote 2 h ago"


def test_a_process_that_is_gone_has_stopped(tmp_path: Path) -> None:
    process = subprocess.Popen(["true"])
    process.wait()
    write(tmp_path, LIVE_NAME, age=200, process=HERE | {"pid": process.pid})
    assert standing(tmp_path)["state"] == "stopped, wrote 3 min ago"


def test_of_another_machine_only_the_age_is_known(tmp_path: Path) -> None:
    write(tmp_path, LIVE_NAME, age=2 * 86400, process=HERE | {"host": "node17"})
    assert standing(tmp_path)["state"] == "on node17, wrote 2 d ago"


def test_somebody_elses_process_runs_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(pid: int, signal: int) -> None:
        raise PermissionError

    write(tmp_path, LIVE_NAME, process=HERE)
    monkeypatch.setattr(module.os, "kill", forbidden)
    assert standing(tmp_path)["state"].startswith("running")


def test_the_newest_word_counts(tmp_path: Path) -> None:
    write(tmp_path, FILE_NAME, age=10, step=7)
    assert (standing(tmp_path)["step"], standing(tmp_path)["state"]) == (7, "unfinished")
    write(tmp_path, LIVE_NAME, age=20, process=HERE, step=6)
    assert standing(tmp_path)["step"] == 7
    # Resumed from an earlier checkpoint.
    write(tmp_path, LIVE_NAME, age=1, process=HERE, step=2)
    assert standing(tmp_path)["step"] == 2


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds neither live"):
        standing(tmp_path)
    write(tmp_path, LIVE_NAME, format="other")
    with pytest.raises(ValueError, match="is not the summary of a run"):
        standing(tmp_path)


def test_watching_ends_with_the_last_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path, LIVE_NAME, process=HERE)
    naps: list[float] = []

    def nap(seconds: float) -> None:
        naps.append(seconds)
        if len(naps) == 2:
            write(tmp_path, FILE_NAME, finished=True, step=20)
            (tmp_path / LIVE_NAME).unlink()

    monkeypatch.setattr(time, "sleep", nap)
    show([tmp_path], watch=0.5)
    assert naps == [0.5, 0.5]
    printed = capsys.readouterr().out
    assert printed.count("(running, ") == 2
    assert f"A: {tmp_path}  UCB, step 20 of 20\n" in printed


SEEN: list[dict[str, Any]] = []


class Look(Callback):
    """Looks at a run's folder after each of its steps."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_train_batch_end(self, *_: Any) -> None:
        SEEN.append(standing(self._folder))


def test_a_run_is_seen_from_its_first_step_on(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainer.summary._LIVE_SECONDS", 0.0)
    SEEN.clear()
    folder = tmp_path / "run"
    look = {"class_path": f"{__name__}.Look", "init_args": {"folder": str(folder)}}
    run_here(configuration(corpus, folder, trainer__callbacks=[look]))
    assert [seen["step"] for seen in SEEN] == list(range(1, 21))
    assert all(seen["state"].startswith("running, wrote 0 s ago") for seen in SEEN)
    losses = [seen["domains"]["en"].get("validation_bits_per_byte") for seen in SEEN]
    assert (losses[8] is None, losses[10] is None) == (True, False)
    assert all(seen["domains"]["en"]["train_bits_per_byte"] for seen in SEEN[1:])
    assert standing(folder)["state"] == "finished"
    assert not (folder / LIVE_NAME).exists()
