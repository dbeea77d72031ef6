"""Every policy through the real trainer: without signals it trains, with them it is refused."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from every_policy import every_policy
from small_runs import configuration, run_here

from policies import Policy, Task, load_policies
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


@pytest.mark.parametrize("name", NAMES)
def test_policy_trains_or_is_refused_by_name(name: str, corpus: Path, tmp_path: Path) -> None:
    policy = every_policy(task_of(corpus), tmp_path)[name]
    chosen = {"class_path": name, "init_args": json.loads(json.dumps(settings_of(policy)))}
    config = configuration(corpus, tmp_path / "run", policy=chosen, trainer__max_steps=10)
    if policy.signals:
        with pytest.raises(
            ValueError, match=f"policy {name} needs the signal {min(policy.signals)}"
        ):
            run_here(config)
        assert not list((tmp_path / "run").glob("checkpoints/*"))
        return
    summary = load_summary(run_here(config))
    assert summary["policy"] == name
    assert summary["finished"]
    weights = [record["mean_weight"] for record in summary["domains"].values()]
    np.testing.assert_allclose(sum(weights), 1)
