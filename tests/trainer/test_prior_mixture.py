"""The prior of a run, found again from its record."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml

from policies import Task, Temperature, UniMax
from policies.policy import Policy
from trainer.prior_mixture import prior_mixture
from trainer.report.run_record import RunRecord

UNIQUE = {"a": 90_000.0, "b": 9_000.0, "c": 500.0}
STEPS, BATCH, LENGTH = 100, 8, 50


def record(**changes: Any) -> RunRecord:
    epochs = {"a": 0.2, "b": 1.3, "c": 4.1}
    settings = {
        "seed_everything": 3,
        "data": {"batch_size": BATCH, "sequence_length": LENGTH},
        "prior": None,
    } | changes
    return RunRecord(
        name="run",
        policy="UCB",
        step=STEPS,
        max_steps=STEPS,
        finished=True,
        tokens=1.0,
        total_cost=1.0,
        domains={
            name: {"tokens": size * epochs[name], "epochs": epochs[name]}
            for name, size in UNIQUE.items()
        },
        configuration=yaml.safe_dump(settings),
    )


def expected(policy: Policy) -> list[float]:
    even = np.full(len(UNIQUE), 1 / len(UNIQUE))
    task = Task(
        names=tuple(UNIQUE),
        unique_tokens=np.array(list(UNIQUE.values())),
        bytes_per_token=np.full(len(UNIQUE), 2.0),
        prior=even,
        target=even,
        total_steps=STEPS,
        tokens_per_step=BATCH * LENGTH,
        seed=0,
    )
    return policy.decide(policy.init(task), 0).weights.tolist()


def test_the_prior_is_unimax_unless_configured() -> None:
    # The smallest language is capped: its size and the length of the run are got right.
    assert expected(UniMax())[2] < 0.2
    assert prior_mixture(record()).tolist() == pytest.approx(expected(UniMax()))


def test_a_configured_prior_is_found() -> None:
    found = prior_mixture(
        record(prior={"class_path": "policies.Temperature", "init_args": {"alpha": 0.5}})
    )
    assert found.tolist() == pytest.approx(expected(Temperature(alpha=0.5)))


def test_a_language_that_was_not_read_is_named() -> None:
    known = record()
    rows = {**known.domains, "b": {"tokens": 0.0, "epochs": 0.0}}
    with pytest.raises(ValueError, match="got nothing of b"):
        prior_mixture(RunRecord(**{**vars(known), "domains": rows}))
    with pytest.raises(ValueError, match="got nothing of the configuration"):
        prior_mixture(RunRecord(**{**vars(known), "configuration": ""}))
