"""A comparison's folder is read as far as it has come."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.compare.finished import finished_outcomes
from trainer.summary import write_json


def write_run(folder: Path, loss: float, *, finished: bool = True) -> None:
    """A summary with what an outcome is read from."""
    row = {"tokens": 10, "epochs": 0.5, "mean_weight": 1.0, "validation_bits_per_byte": loss}
    summary = {"format": "glotmix-run", "step": 2, "finished": finished, "domains": {"en": row}}
    write_json(folder / "summary.json", summary | {"total_cost_tokens": 10.0})


def test_finished_runs_by_policy_and_seed(tmp_path: Path) -> None:
    for seed in (10, 2):
        write_run(tmp_path / "uniform" / f"seed-{seed}", float(seed))
    write_run(tmp_path / "aioli" / "seed-2", 1.0)
    write_run(tmp_path / "aioli" / "seed-10", 1.0, finished=False)
    write_run(tmp_path / "uniform" / "seed-2-old", 1.0)
    (tmp_path / "aioli" / "seed-3").mkdir()
    write_run(tmp_path / "pilot", 1.0)
    found = finished_outcomes(tmp_path)
    assert {policy: [run.seed for run in runs] for policy, runs in found.items()} == {
        "aioli": [2],
        "uniform": [2, 10],
    }
    assert [run.mean for run in found["uniform"]] == [2.0, 10.0]
    assert found["aioli"][0].policy == "aioli"


def test_another_folder_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path / "uniform" / "seed-0", 1.0, finished=False)
    with pytest.raises(ValueError, match="folder must be that of glotmix compare"):
        finished_outcomes(tmp_path)
