"""Random constraints that some mixture keeps."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from policies.allocation import Change, Constraint, Cost, Epochs, Floor, Ratio, Share
from policies.policy import Task
from policies.signals import Array
from policies.synthetic import make_task


class RandomSet(NamedTuple):
    """Constraints, the groups they name, the run, and a mixture that keeps them all the way."""

    constraints: list[Constraint]
    groups: dict[str, list[str]]
    task: Task
    inside: Array


def random_set(seed: int, size: int) -> RandomSet:
    generator = np.random.default_rng([seed, size])
    inside = generator.dirichlet(np.full(size, 2.0))
    task = make_task(size, seed=seed, total_steps=int(generator.integers(1, 500)))
    epochs = float(generator.uniform(1, 10))
    slack = generator.uniform(1.05, 5, size)
    task = replace(task, unique_tokens=np.maximum(inside * slack * task.total_tokens / epochs, 1.0))
    constraints: list[Constraint] = []
    groups: dict[str, list[str]] = {}
    if generator.random() < 0.5:
        constraints.append(Floor(minimum=float(inside.min() * generator.random())))
    if generator.random() < 0.5:
        constraints.append(Epochs(maximum=epochs))
    for number in range(int(generator.integers(0, 4)) if size > 2 else 0):
        chosen = generator.choice(size, int(generator.integers(1, size)), replace=False)
        groups[f"g{number}"] = [task.names[domain] for domain in chosen]
        share = float(inside[chosen].sum())
        constraints.append(
            Share(
                of=f"g{number}",
                minimum=share * float(generator.uniform(0.5, 0.97)),
                maximum=min(1.0, share * float(generator.uniform(1.03, 1.5))),
            )
        )
    first, last = task.names[0], task.names[-1]
    if size > 2 and generator.random() < 0.4:
        ratio = float(inside[0] / inside[-1])
        if 1e-3 < ratio < 1e3:
            constraints.append(Ratio(of=first, to=last, maximum=ratio * 1.2, minimum=ratio * 0.7))
    if generator.random() < 0.4:
        cost = float(inside[0]) * 2.0
        constraints.append(Cost(per_token={first: 2.0}, maximum_mean=1.3 * cost))
        constraints.append(Cost(per_token={first: 2.0}, budget=1.2 * cost * task.total_tokens))
    if generator.random() < 0.4:
        constraints.append(Change(maximum=float(generator.uniform(0.02, 0.5))))
    return RandomSet(constraints, groups, task, inside)
