"""Runs of a comparison: configured alike, begun once, gone on with, and never overwritten."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch

from trainer.compare.runs import Run, configured

INNER = {"trainer": {"callbacks": [{"class_path": "own.Callback"}]}, "seed_everything": 7}


def made(folder: Path, steps: int = 10, seed: int = 1) -> Run:
    return Run("u", folder, configured(INNER, {"class_path": "Uniform"}, seed, steps, folder))


def save(folder: Path, step: int) -> None:
    (folder / "checkpoints").mkdir(exist_ok=True)
    torch.save({"global_step": step}, folder / "checkpoints" / f"step={step}.ckpt")


def summarise(folder: Path, **content: Any) -> None:
    document = {"format": "glotmix-run", "finished": False} | content
    (folder / "summary.json").write_text(json.dumps(document))


def test_the_comparison_decides_policy_seed_steps_and_folder(tmp_path: Path) -> None:
    document = made(tmp_path / "u").document
    assert document["policy"] == {"class_path": "Uniform"}
    assert (document["seed_everything"], document["trainer"]["max_steps"]) == (1, 10)
    assert document["run_dir"] == str(tmp_path / "u")
    assert document["trainer"]["callbacks"][0] == {"class_path": "own.Callback"}
    # The configuration it came from is left as it was.
    assert INNER["trainer"] == {"callbacks": [{"class_path": "own.Callback"}]}


def test_a_run_goes_on_where_it_was_left(tmp_path: Path) -> None:
    run = made(tmp_path / "u")
    assert run.stage() == "new"
    assert run.prepare()[3:] == ["fit", "--config", str(tmp_path / "u" / "fit.json")]
    # A summary without a checkpoint: killed after its first validation.
    summarise(run.folder)
    assert run.stage() == "new"
    run.prepare()
    assert not (run.folder / "summary.json").exists()
    save(run.folder, 5)
    assert run.stage() == "begun"
    assert run.prepare()[-2:] == ["--ckpt_path", "last"]
    assert (run.folder / "checkpoints" / "step=5.ckpt").exists()
    summarise(run.folder, finished=True)
    assert run.stage() == "finished"


def test_a_run_killed_after_its_last_step_begins_anew(tmp_path: Path) -> None:
    run = made(tmp_path / "u")
    run.prepare()
    save(run.folder, 10)
    assert run.stage() == "new"
    run.prepare()
    assert not (run.folder / "checkpoints").exists()


def test_another_configuration_is_not_written_over(tmp_path: Path) -> None:
    made(tmp_path / "u").prepare()
    for other in (made(tmp_path / "u", steps=11), made(tmp_path / "u", seed=2)):
        with pytest.raises(ValueError, match="holds a run of another configuration"):
            other.stage()
        with pytest.raises(ValueError, match="holds a run of another configuration"):
            other.prepare()
    assert made(tmp_path / "u").stage() == "new"


def test_what_no_comparison_wrote_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "u").mkdir()
    assert made(tmp_path / "u").stage() == "new"
    (tmp_path / "u" / "thesis.tex").write_text("")
    with pytest.raises(ValueError, match="holds something that no comparison wrote"):
        made(tmp_path / "u").prepare()
    assert (tmp_path / "u" / "thesis.tex").exists()


def test_a_comparison_may_be_moved(tmp_path: Path) -> None:
    run = made(tmp_path / "u")
    run.prepare()
    save(run.folder, 5)
    shutil.move(tmp_path / "u", tmp_path / "v")
    moved = made(tmp_path / "v")
    assert moved.stage() == "begun"
    moved.prepare()
    assert json.loads((tmp_path / "v" / "fit.json").read_text()) == moved.document
