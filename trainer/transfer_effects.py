"""Which language helps which, and how surely, read from the folder of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
import yaml  # type: ignore[import-untyped]

from policies import Array, restore
from policies.estimators.effects import Effects
from policies.minimax.minimax_regret import MinimaxRegret
from policies.synthetic import make_task
from trainer.checkpoints import newest_checkpoint
from trainer.compare.tasks import make_policy
from trainer.exchange import feedback_from_document
from trainer.mixing import MixingCallback
from trainer.report.run_record import RunRecord

MATRIX = "transfer"


class Transfer(NamedTuple):
    """Effects between k languages; row = evaluated, column = trained on, larger is better.

    Attributes:
        names: The k languages.
        value: Shape (k, k); only differences within a row mean something. Of `MinimaxRegret` in
            bits per byte that a block of steps takes off the loss per unit of share taken from the
            prior mixture; of other policies in their own unit.
        standard_error: Of each, shape (k, k); NaN where it is not known.
    """

    names: tuple[str, ...]
    value: Array
    standard_error: Array


def read_transfer(folder: Path, record: RunRecord) -> Transfer:
    """The transfer matrix of a run.

    Standard errors are known of `MinimaxRegret` alone, whose trials are randomised. They are in its
    last checkpoint, so that its effects are those of the checkpoint too.

    Args:
        folder: The run's folder.
        record: What `read_run` found there.

    Raises:
        ValueError: The run's policy measures no transfer between languages, or for too many.
    """
    rows = record.matrices.get(MATRIX)
    if rows is None:
        raise ValueError(
            f"the policy must be one that measures transfer between languages, got "
            f"{record.policy or 'none'}; MinimaxRegret does for up to 16, Aioli and SkillIt for 64"
        )
    names = tuple(record.domains)
    if (folder / "checkpoints").is_dir() and record.policy == MinimaxRegret.__name__:
        return Transfer(names, *_trials(newest_checkpoint(folder), record))
    value = np.array([[np.nan if entry is None else entry for entry in row] for row in rows])
    return Transfer(names, value, np.full_like(value, np.nan))


def _trials(checkpoint: Path, record: RunRecord) -> Effects:
    """The effects in a checkpoint, in the order of the corpus."""
    policy = make_policy(record.policy, yaml.safe_load(record.configuration)["policy"])
    assert isinstance(policy, MinimaxRegret)
    content = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    kept: dict[str, Any] = content["callbacks"][MixingCallback.__qualname__]
    # A made-up task will do: its state only tells what to expect in the checkpoint.
    task = make_task(len(record.domains), total_steps=record.max_steps or 1)
    state = restore(policy.init(task), kept["state"])
    if kept["pending"] is not None:
        state = policy.update(state, feedback_from_document(kept["pending"]))
    value, error = policy.effects(state)
    place = np.ix_(np.argsort(state.order), np.argsort(state.order))
    return Effects(value[place], np.where(np.isfinite(error), error, np.nan)[place])
