"""What a run lets a policy know before training starts."""

from __future__ import annotations

import dataclasses

import numpy as np

from policies import Policy, Task
from policies.feedback import ratio
from policies.simplex import check_weights
from trainer.data import CorpusDataModule


def make_task(
    data: CorpusDataModule,
    total_steps: int,
    prior: Policy,
    target: dict[str, float] | None,
    seed: int,
) -> Task:
    """The task of a run; no token is read for it.

    Args:
        data: The corpus and the batches.
        total_steps: Optimiser steps of the run.
        prior: The static policy whose mixture is the prior.
        target: How much each domain counts in the end, by name; all the same if not given.
        seed: Seed of the policy's randomness.

    Raises:
        ValueError: The run has no steps, the target names unknown domains or is no mixture, the
            prior is none, or a domain is shorter than a sequence.
    """
    if total_steps < 1:
        raise ValueError(f"trainer.max_steps must be set: a mixture has no end (got {total_steps})")
    names, entries = data.names, data.train_entries()
    importance = np.full(len(names), 1.0 / len(names))
    if target is not None:
        if unknown := sorted(set(target) - set(names)):
            raise ValueError(f"target names unknown domains {unknown}; there are {names}")
        importance = np.array([target.get(name, 0.0) for name in names])
        importance = check_weights(importance, names, "target")
    task = Task(
        names=names,
        unique_tokens=data.epoch_tokens(),
        bytes_per_token=ratio(entries[:, 1], entries[:, 0]),
        prior=importance,
        target=importance,
        total_steps=total_steps,
        tokens_per_step=data.batch_size * data.sequence_length,
        seed=seed,
    )
    weights = prior.decide(prior.init(task), 0).weights
    checked = check_weights(weights, names, f"weight by prior {type(prior).__name__}")
    return dataclasses.replace(task, prior=checked)
