"""Every policy through the real trainer, with the signals it asks for."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from every_policy import every_policy
from small_runs import configuration, run_here

from policies import Policy, Signal, Task, load_policies
from policies.synthetic import make_task
from trainer.data import CorpusDataModule
from trainer.summary import load_summary

NAMES = sorted(load_policies())


def task_of(corpus: Path) -> Task:
    """A task with the corpus's domains, to make policies that name them."""
    names = CorpusDataModule(corpus=corpus, sequence_length=32, batch_size=8).names
    task = make_task(len(names))
    return Task(**{**task.__dict__, "names": names})


def settings_of(policy: Policy) -> dict[str, object]:
    return {key: value for key, value in policy.__dict__.items() if value is not None}


@pytest.fixture(scope="module")
def reference(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model to compare losses with: that of a run, as `from_pretrained` opens it."""
    folder = tmp_path_factory.mktemp("reference") / "run"
    return run_here(configuration(corpus, folder, trainer__max_steps=10)) / "model"


@pytest.mark.parametrize("name", NAMES)
def test_policy_trains(name: str, corpus: Path, tmp_path: Path, reference: Path) -> None:
    policy = every_policy(task_of(corpus), tmp_path)[name]
    chosen = {"class_path": name, "init_args": json.loads(json.dumps(settings_of(policy)))}
    config = configuration(corpus, tmp_path / "run", policy=chosen, trainer__max_steps=10)
    if Signal.REFERENCE_LOSS in policy.signals:
        config["signals"] = {"reference": str(reference)}
    summary = load_summary(run_here(config))
    assert summary["policy"] == name
    assert summary["finished"]
    weights = [record["mean_weight"] for record in summary["domains"].values()]
    np.testing.assert_allclose(sum(weights), 1)
    costs = summary.get("signals", {})
    assert set(costs) == {str(signal) for signal in policy.signals}
    assert all(cost["measurements"] > 0 and cost["tokens"] > 0 for cost in costs.values())


def test_a_missing_reference_is_told_before_training(corpus: Path, tmp_path: Path) -> None:
    config = configuration(corpus, tmp_path / "run", policy={"class_path": "DoReMi"})
    with pytest.raises(ValueError, match=r"signals.reference must name the model"):
        run_here(config)
