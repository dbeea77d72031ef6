"""Runs whose documents come at the rates of a sampling function."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from corpora import write_corpus
from small_runs import configuration, kill_when, read_record, run_here, start
from warm_processes import WarmProcess

from mixer.indexed import TokenShard
from mixer.sampling import write_scores
from trainer.summary import load_summary

BEST_HALF = {
    "class_path": "mixer.sampling.Sigmoid",
    "init_args": {"scores": {"quality": 1.0}, "steepness": 50.0, "cutoff": 0.5, "power": 2.0},
}


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_corpus(tmp_path_factory.mktemp("scored"))
    for name in ("en", "de"):
        shard = TokenShard.open(folder / name / "train")
        scores = np.random.default_rng(0).normal(size=shard.num_documents)
        write_scores(shard, "quality", scores)
    return folder


def config_of(corpus: Path, folder: Path, name: str, **changes: Any) -> dict[str, Any]:
    recorder = {
        "class_path": "recording.Recorder",
        "init_args": {"folder": str(folder / f"{name}-record"), "pause": 0.02},
    }
    sampling = {"en": BEST_HALF, "de": BEST_HALF}
    settings = {"trainer__callbacks": [recorder], "data__sampling": sampling} | changes
    return configuration(corpus, folder / name, **settings)


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_bit(scored: Path, tmp_path: Path) -> None:
    run_here(config_of(scored, tmp_path, "whole"))
    config = config_of(scored, tmp_path, "killed")
    running = start(config, process=WarmProcess)
    kill_when(running, tmp_path / "killed-record" / "rank0.jsonl", 13)
    run_here(config, "--ckpt_path", "last")
    whole = read_record(tmp_path / "whole-record")
    assert len(whole) == 20
    assert read_record(tmp_path / "killed-record") == whole
    # An epoch is one reading at the function's rates: the better half, twice to four times.
    domains = load_summary(tmp_path / "whole")["domains"]
    tokens = len(TokenShard.open(scored / "de" / "train").tokens)
    one_epoch = domains["de"]["tokens"] / domains["de"]["epochs"]
    assert 1.5 * tokens < one_epoch < 2.1 * tokens


def test_a_run_sampled_otherwise_is_not_resumed(scored: Path, tmp_path: Path) -> None:
    run_here(config_of(scored, tmp_path, "run"))
    other = BEST_HALF | {"init_args": BEST_HALF["init_args"] | {"power": 1.9}}
    changed = config_of(scored, tmp_path, "run", data__sampling={"en": other, "de": BEST_HALF})
    with pytest.raises(ValueError, match=r"another (num_sequences|sampling): "):
        run_here(changed, "--ckpt_path", "last")


@pytest.mark.parametrize(
    ("sampling", "reason"),
    [
        ({"fr": BEST_HALF}, "data.sampling names fr, which the run does not train on; there are"),
        ({"*": BEST_HALF}, "has no scores 'quality'; it has none"),
        (
            {"en": BEST_HALF | {"init_args": {"scores": {"quality": 1.0}, "cutoff": 2.0}}},
            r"cutoff must be in \(0, 1\], got 2.0",
        ),
        (
            {"en": BEST_HALF | {"init_args": {"scores": {"quality": 1.0}, "cutof": 0.5}}},
            "cutof",
        ),
    ],
)
def test_what_cannot_be_sampled_is_refused_before_training(
    scored: Path, tmp_path: Path, sampling: dict[str, Any], reason: str
) -> None:
    config = configuration(scored, tmp_path / "run", data__sampling=sampling)
    with pytest.raises(Exception, match=reason):
        run_here(config)
    assert not (tmp_path / "run" / "checkpoints").exists()
