"""Runs killed at an arbitrary step go on as if they had never been killed."""

import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from small_runs import (
    configuration,
    finish,
    kill,
    kill_when,
    read_record,
    run_here,
    start,
    start_ranks,
)
from warm_processes import WarmProcess

from trainer.summary import load_summary


def config_of(corpus: Path, folder: Path, name: str, **changes: Any) -> dict[str, Any]:
    recorder = {
        "class_path": "recording.Recorder",
        "init_args": {"folder": str(folder / f"{name}-record"), "pause": 0.02},
    }
    return configuration(
        corpus, folder / name, trainer__callbacks=[recorder], trainer__max_steps=24, **changes
    )


def last_weights(run_dir: Path) -> dict[str, torch.Tensor]:
    path = run_dir / "checkpoints" / "step=20.ckpt"
    return torch.load(path, weights_only=True)["state_dict"]


def same_weights(left: Path, right: Path) -> bool:
    ours, theirs = last_weights(left), last_weights(right)
    return all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
@pytest.mark.parametrize("accumulate", [1, 2])
def test_a_killed_run_resumes_to_the_bit(corpus: Path, tmp_path: Path, accumulate: int) -> None:
    changes = {"trainer__accumulate_grad_batches": accumulate}
    run_here(config_of(corpus, tmp_path, "whole", **changes))
    config = config_of(corpus, tmp_path, "killed", **changes)
    running = start(config, process=WarmProcess)
    kill_when(running, tmp_path / "killed-record" / "rank0.jsonl", 13 * accumulate)
    assert not (tmp_path / "killed" / "checkpoints" / "step=20.ckpt").exists()
    run_here(config, "--ckpt_path", "last")
    whole = read_record(tmp_path / "whole-record")
    assert len(whole) == 24 * accumulate
    assert read_record(tmp_path / "killed-record") == whole
    assert same_weights(tmp_path / "whole", tmp_path / "killed")


MEASURING: dict[str, dict[str, Any]] = {
    # From step 5 to step 13 each language is tried in turn; the checkpoint of step 10 lies within.
    "Aioli": {"update_every": 12, "sweeps": 1, "interval_steps": 3, "prior_steps": 5},
    # Every step measures, so that what a checkpoint finds has not been heard of yet.
    "DoGE": {},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", MEASURING)
def test_a_run_killed_between_measuring_and_hearing_resumes_to_the_bit(
    name: str, corpus: Path, tmp_path: Path
) -> None:
    policy = {"class_path": name, "init_args": MEASURING[name]}
    run_here(config_of(corpus, tmp_path, "whole", policy=policy))
    config = config_of(corpus, tmp_path, "killed", policy=policy)
    running = start(config, process=WarmProcess)
    kill_when(running, tmp_path / "killed-record" / "rank0.jsonl", 13)
    run_here(config, "--ckpt_path", "last")
    assert read_record(tmp_path / "killed-record") == read_record(tmp_path / "whole-record")
    assert same_weights(tmp_path / "whole", tmp_path / "killed")
    ours, theirs = (load_summary(tmp_path / run) for run in ("whole", "killed"))
    assert ours["domains"] == theirs["domains"]
    for signal, cost in ours["signals"].items():
        assert theirs["signals"][signal]["tokens"] == cost["tokens"]
        assert theirs["signals"][signal]["measurements"] == cost["measurements"]


@pytest.mark.slow
@pytest.mark.dist
def test_two_ranks_resume_to_the_bit_and_one_rank_continues_them(
    corpus: Path, tmp_path: Path
) -> None:
    schedule = {0: {"en": 0.9, "de": 0.05, "sw": 0.05}, 24: {"en": 0.0, "de": 0.5, "sw": 0.5}}
    changes = {
        "trainer__devices": 2,
        "trainer__strategy": "ddp",
        "policy": {"class_path": "policies.Fixed", "init_args": {"weights": schedule}},
    }
    for process in start_ranks(config_of(corpus, tmp_path, "whole", **changes)):
        finish(process)
    config = config_of(corpus, tmp_path, "killed", **changes)
    first, second = start_ranks(config)
    kill_when(first, tmp_path / "killed-record" / "rank1.jsonl", 13)
    kill(second)
    shutil.copytree(tmp_path / "killed", tmp_path / "kept")
    for process in start_ranks(config, "--ckpt_path", "last"):
        finish(process)
    whole = [read_record(tmp_path / "whole-record", rank) for rank in range(2)]
    for rank in range(2):
        assert len(whole[rank]) == 24
        assert read_record(tmp_path / "killed-record", rank) == whole[rank]
    assert same_weights(tmp_path / "whole", tmp_path / "killed")

    shutil.rmtree(tmp_path / "killed")
    (tmp_path / "kept").rename(tmp_path / "killed")
    config["trainer"] |= {"devices": 1, "strategy": "auto"}
    config["trainer"]["callbacks"][0]["init_args"]["folder"] = str(tmp_path / "alone-record")
    run_here(config, "--ckpt_path", "last")
    single = read_record(tmp_path / "alone-record")
    assert sorted(single) == list(range(10, 24))
    for step, entry in single.items():
        dealt = [
            row
            for pair in zip(*(rank[step]["rows"] for rank in whole), strict=True)
            for row in pair
        ]
        assert entry["rows"] == dealt
        assert entry["weights"] == whole[0][step]["weights"]


def test_resuming_with_another_policy_is_refused(corpus: Path, tmp_path: Path) -> None:
    config = configuration(corpus, tmp_path / "run")
    run_here(config)
    config["policy"] = {"class_path": "policies.Uniform"}
    config["trainer"]["max_steps"] = 25
    with pytest.raises(ValueError, match="made with policy UCB, the configuration names Uniform"):
        run_here(config, "--ckpt_path", "last")


def test_resuming_with_another_batch_size_is_refused(corpus: Path, tmp_path: Path) -> None:
    config = configuration(corpus, tmp_path / "run")
    run_here(config)
    config["data"]["batch_size"] = 16
    config["trainer"]["max_steps"] = 25
    with pytest.raises(ValueError, match="another batch_size: 8 instead of 16"):
        run_here(config, "--ckpt_path", "last")


def test_a_new_run_does_not_overwrite_an_old_one(corpus: Path, tmp_path: Path) -> None:
    config = configuration(corpus, tmp_path / "run")
    run_here(config)
    with pytest.raises(ValueError, match="holds a run already; go on with it by --ckpt_path last"):
        run_here(config)


@pytest.mark.parametrize(
    ("path", "message"),
    [("last", "holds no checkpoint"), ("nowhere.ckpt", "is not a checkpoint")],
)
def test_a_checkpoint_that_is_none_is_refused(
    corpus: Path, tmp_path: Path, path: str, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run_here(configuration(corpus, tmp_path / "run"), "--ckpt_path", path)


def test_dropout_goes_on_where_it_was(corpus: Path, tmp_path: Path) -> None:
    def config(name: str, steps: int) -> dict[str, Any]:
        made = configuration(
            corpus, tmp_path / name, trainer__max_steps=steps, model__decay="constant"
        )
        made["model"]["config"]["attention_dropout"] = 0.2
        return made

    run_here(config("whole", 20))
    run_here(config("parts", 10))
    torch.rand(17)  # What else drew numbers meanwhile must not matter.
    run_here(config("parts", 20), "--ckpt_path", "last")
    assert same_weights(tmp_path / "whole", tmp_path / "parts")
