"""Constraints in whole runs: what is refused, what is kept account of, what resumes."""

from __future__ import annotations

import json
import shutil
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_runs import configuration, kill_when, read_record, run_here, start
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from warm_processes import WarmProcess

from trainer.summary import load_summary
from trainer.table import render

TIGHT: list[dict[str, Any]] = [
    {"share": {"of": "germanic", "maximum": 0.5}},
    {"epochs": {"maximum": 1.1, "of": "sw", "warn_at": 0.5}},
    {"change": 0.04},
    {"floor": 0.1},
]


def constrained(corpus: Path, run_dir: Path, **changes: Any) -> dict[str, Any]:
    settings = {"constraints": TIGHT, "groups": {"germanic": ["en", "de"]}, **changes}
    return configuration(corpus, run_dir, **settings)


def run_quietly(config: dict[str, Any], *words: str) -> Path:
    """Run without a word of a cap that is near."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return run_here(config, *words)


def scalars(run_dir: Path, tag: str) -> list[float]:
    events = EventAccumulator(str(run_dir), size_guidance={"scalars": 0})
    events.Reload()
    return [event.value for event in events.Scalars(tag)]


@pytest.fixture(scope="module")
def run_dir(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("constrained") / "run"
    return run_quietly(constrained(corpus, folder, trainer__log_every_n_steps=1))


def test_the_mixture_keeps_the_constraints(run_dir: Path) -> None:
    weights, proposed = (
        sum(np.array(scalars(run_dir, f"{tag}/{name}")) for name in ("en", "de"))
        for tag in ("mixture/weight", "constraints/proposed")
    )
    assert len(weights) == len(proposed) == 20
    assert max(weights) <= 0.5 + 1e-6
    assert min(proposed) > 0.55  # Without constraints it would look otherwise.


def test_prices_are_charted_and_summed_up(run_dir: Path) -> None:
    tag = "constraints/price/Share_of_germanic_maximum_0.5"
    assert min(scalars(run_dir, tag)) > 0
    entries = {entry["constraint"]: entry for entry in load_summary(run_dir)["constraints"]}
    share = entries["Share(of=germanic, maximum=0.5)"]
    assert share["binding_steps"] == 20
    assert share["mean_price"]["nats"] > 0
    assert share["relaxed_steps"] == 0
    assert load_summary(run_dir)["allocation"]["solver_failures"] == 0
    table = render([("a", load_summary(run_dir))])
    assert "Share(of=germanic, maximum=0.5)  binding in 20 of 20 steps" in table


def test_nearing_a_cap_is_told_once(corpus: Path, tmp_path: Path) -> None:
    with pytest.warns(UserWarning, match="'sw' is at 0.5.* epochs, of at most 1.1") as told:
        run_here(constrained(corpus, tmp_path / "run"))
    assert len([one for one in told if "epochs, of at most" in str(one.message)]) == 1


IMPOSSIBLE: dict[str, tuple[dict[str, Any], str]] = {
    "minima that add to more than one": (
        {"constraints": [{"share": {"of": name, "minimum": 0.4}} for name in ("en", "de", "sw")]},
        r"these cannot all be kept .*minimum=0.4.*minimum=0.4.*minimum=0.4",
    ),
    "a cap of zero with a minimum": (
        {"constraints": [{"epochs": {"of": "sw", "maximum": 0}}, {"floor": 0.05}]},
        r"cannot all be kept .*Epochs\(maximum=0, of=sw\), Floor\(minimum=0.05\)",
    ),
    "an unknown language": (
        {"constraints": [{"share": {"of": "xx", "minimum": 0.1}}]},
        r"must name domains or groups that exist \(en, de, sw\), got 'xx'",
    ),
    "a group within itself": (
        {"groups": {"a": ["b"], "b": ["a"]}, "constraints": [{"floor": 0.1}]},
        r"a group must not lie within itself, got a > b > a",
    ),
    "a misspelt group without constraints": (
        {"groups": {"a": ["xx"]}},
        r"group 'a' must name domains or groups that exist .*got 'xx'",
    ),
}


@pytest.mark.parametrize("what", IMPOSSIBLE)
def test_the_impossible_is_refused_before_any_data_is_read(
    what: str, corpus: Path, tmp_path: Path
) -> None:
    changes, message = IMPOSSIBLE[what]
    bare = tmp_path / "corpus"
    shutil.copytree(corpus, bare, ignore=shutil.ignore_patterns("*.bin", "*.idx"))
    assert not list(bare.rglob("*.bin"))
    with pytest.raises(ValueError, match=message):
        run_here(configuration(bare, tmp_path / "run", **changes))


def resumed(corpus: Path, folder: Path, **changes: Any) -> dict[str, Any]:
    """Go on with a finished run of 20 steps under a cap that was broken before it was set."""
    run_here(configuration(corpus, folder))
    demands = {"constraints": [{"epochs": {"of": "sw", "maximum": 0.5}}, {"floor": 0.03}]}
    return configuration(corpus, folder, trainer__max_steps=25, **demands, **changes)


def test_what_cannot_be_kept_any_more_is_loosened_and_told_once(
    corpus: Path, tmp_path: Path
) -> None:
    config = resumed(corpus, tmp_path / "run", trainer__log_every_n_steps=1)
    with pytest.warns(UserWarning, match="loosened") as told:
        run_here(config, "--ckpt_path", "last")
    lines = [str(one.message) for one in told if "loosened" in str(one.message)]
    assert lines == ["step 20: loosened as little as possible: Floor(minimum=0.03)"]
    assert scalars(tmp_path / "run", "constraints/loosened/Floor_minimum_0.03") == [1] * 5
    floor = load_summary(tmp_path / "run")["constraints"][1]
    assert floor["relaxed_steps"] == 5


def test_a_strict_run_stops_instead(corpus: Path, tmp_path: Path) -> None:
    config = resumed(corpus, tmp_path / "run", allocation__strict=True)
    with pytest.raises(RuntimeError, match=r"at step 20 constraints can no longer be kept"):
        run_here(config, "--ckpt_path", "last")


@pytest.mark.slow
def test_a_killed_constrained_run_resumes_to_the_bit(corpus: Path, tmp_path: Path) -> None:
    def config_of(name: str) -> dict[str, Any]:
        recorder = {
            "class_path": "recording.Recorder",
            "init_args": {"folder": str(tmp_path / f"{name}-record"), "pause": 0.02},
        }
        return constrained(
            corpus, tmp_path / name, trainer__callbacks=[recorder], trainer__max_steps=24
        )

    run_quietly(config_of("whole"))
    running = start(config_of("killed"), process=WarmProcess)
    kill_when(running, tmp_path / "killed-record" / "rank0.jsonl", 13)
    run_quietly(config_of("killed"), "--ckpt_path", "last")
    assert read_record(tmp_path / "killed-record") == read_record(tmp_path / "whole-record")
    ours, theirs = (
        json.loads((tmp_path / name / "summary.json").read_text()) for name in ("whole", "killed")
    )
    assert ours == theirs
