"""Whole comparisons of real runs: equal cost, pairs, going on, and policies that fail."""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_runs import configuration
from warm_processes import WarmProcess

from trainer.checkpoints import newest_checkpoint, steps_done
from trainer.compare import local
from trainer.compare.comparing import run
from trainer.summary import load_summary

HERE = Path(__file__).parent
AIOLI = {
    "class_path": "Aioli",
    "init_args": {"update_every": 6, "sweeps": 1, "interval_steps": 1},
}


@pytest.fixture(autouse=True)
def _runs_begin_warm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "Popen", WarmProcess)


def words(folder: Path, corpus: Path, **content: Any) -> list[str]:
    inner = configuration(corpus, folder / "unused", trainer__max_steps=16)
    inner["trainer"] |= {"val_check_interval": 10, "log_every_n_steps": 5}
    inner["checkpoint"] = {"every_n_train_steps": 2}
    inner["signals"] = {"validation_sequences": 2}
    document = {"run": inner, "baseline": "uniform", "seeds": [0, 1]} | content
    path = folder / "compare.yaml"
    path.write_text(yaml.safe_dump(document))
    return ["--config", str(path), "--out", str(folder / "out")]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open() as file:
        return list(csv.DictReader(file))


@pytest.mark.slow
def test_two_policies_on_two_seeds(
    corpus: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = words(tmp_path, corpus, policies={"uniform": "Uniform", "aioli": AIOLI}, jobs=2)
    run(told)
    printed, out = capsys.readouterr().out, tmp_path / "out"
    assert (out / "table.md").read_text() in printed
    assert len(re.findall(r"^\[\d/4\] \w+, seed [01]: mean", printed, re.MULTILINE)) == 4
    found = {(row["policy"], row["seed"]): row for row in rows(out / "runs.csv")}
    # A measurement is 3 domains of 2 sequences, a third of a pass each: a quarter of a step.
    budget = 16 * 8 * 32
    assert found["uniform", "0"]["steps"] == "16"
    aioli = found["aioli", "0"]
    assert int(aioli["steps"]) < 16
    assert float(aioli["total_cost_tokens"]) > float(aioli["tokens"])
    for row in found.values():
        assert 0.9 * budget < float(row["total_cost_tokens"]) <= budget
        summary = load_summary(out / row["policy"] / f"seed-{row['seed']}")
        assert float(row["loss:sw"]) == summary["domains"]["sw"]["validation_bits_per_byte"]
    # What the plan promised is what was paid.
    (part,) = re.findall(r"^aioli: \d+ steps, ([\d.]+)% of the budget", printed, re.MULTILINE)
    paid = float(aioli["total_cost_tokens"]) / budget
    assert paid == pytest.approx(float(part) / 100, abs=6e-4)
    (record,) = [row for row in rows(out / "table.csv") if row["policy"] == "aioli"]
    differences = [
        float(found["aioli", seed]["mean"]) - float(found["uniform", seed]["mean"])
        for seed in ("0", "1")
    ]
    assert float(record["mean_difference"]) == pytest.approx(sum(differences) / 2)
    assert float(record["time_ratio"]) > 0
    (own,) = [row for row in rows(out / "table.csv") if row["policy"] == "uniform"]
    # The baseline comes to its own final loss with every seed, at the latest in the end.
    assert own["reached"] == "2"
    assert float(own["cost_to_reach_tokens"]) <= budget

    # Once more: nothing is trained, the table is the same.
    before = (out / "aioli" / "seed-0" / "summary.json").stat().st_mtime_ns
    run(told)
    printed = capsys.readouterr().out
    assert "4 of 4 runs are finished already" in printed
    assert (out / "aioli" / "seed-0" / "summary.json").stat().st_mtime_ns == before


@pytest.mark.slow
def test_a_policy_that_fails_leaves_the_others_a_table(
    corpus: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(HERE))
    policies = {"uniform": "Uniform", "fails": "failing_policy.Fails"}
    told = words(tmp_path, corpus, policies=policies, seeds=[0], jobs=2)
    with pytest.raises(ValueError, match="1 of 2 runs failed and are not in the table"):
        run(told)
    printed = capsys.readouterr().out
    assert re.search(r"fails, seed 0: failed with status 1: .*in the third step; see ", printed)
    text = (tmp_path / "out" / "table.md").read_text()
    assert "fails: the run of seed 0 failed" in text
    assert load_summary(tmp_path / "out" / "uniform" / "seed-0")["finished"]


@pytest.mark.slow
def test_an_interrupted_comparison_goes_on(corpus: Path, tmp_path: Path) -> None:
    long = {"policies": {"uniform": "Uniform"}, "seeds": [0], "budget_tokens": 60 * 8 * 32}
    told, folder = words(tmp_path, corpus, **long), tmp_path / "out" / "uniform" / "seed-0"
    threading.Thread(target=interrupt_after_a_checkpoint, args=(folder,)).start()
    with pytest.raises(KeyboardInterrupt):
        run(told)
    checkpoint = newest_checkpoint(folder)
    assert steps_done(checkpoint) < 60
    run([*told, "--test", "true"])
    assert str(checkpoint) in (folder / "fit.log").read_text()
    assert "Test split" in (tmp_path / "out" / "table.md").read_text()
    assert json.loads((folder / "test.json").read_text())["split"] == "test"
    # That a resumed run is the same as one never stopped is a matter of `fit`; here, that it is
    # taken to its end.
    (row,) = rows(tmp_path / "out" / "runs.csv")
    assert (row["steps"], float(row["total_cost_tokens"])) == ("60", 60 * 8 * 32)
    assert json.loads((folder / "seconds.json").read_text())["steps"] == 60


def interrupt_after_a_checkpoint(folder: Path) -> None:
    deadline = time.monotonic() + 120
    while not list((folder / "checkpoints").glob("*.ckpt")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(os.getpid(), signal.SIGINT)
