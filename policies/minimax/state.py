"""What MinimaxRegret keeps between steps."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.estimators.effects import EffectMoments, no_moments
from policies.minimax.blocks import Schedule
from policies.minimax.choice import Choice
from policies.minimax.groups import Groups, make_groups
from policies.policy import Task
from policies.signals import Array


class Block(NamedTuple):
    """One block of steps at one mixture.

    Attributes:
        drawn: Sequences drawn of each group, shape (g,).
        drop: Fall of each language's validation loss over the block, bits per byte, (k,).
    """

    drawn: Array
    drop: Array


class MinimaxState(NamedTuple):
    """What is kept between steps; k languages in alphabetical order, g groups of them.

    The order keeps the answers the same to the bit however the corpus lists its languages.

    Attributes:
        order: Which domain of the corpus each language is, shape (k,).
        groups: Which domains are perturbed together.
        target: The mixture of languages the adversary starts from, shape (k,).
        schedule: When which block is played.
        seed: Seed of the design.
        mixture: Shares of the groups that the blocks lean from, shape (g,).
        loss: Last validation loss, shape (k,), bits per byte; NaN if unknown.
        block: The block under way.
        first: The first block of the pair under way.
        mean_drop: Mean drop in the last pair, shape (k,); NaN before there was one.
        pace: How fast the last pair learnt, as far as the schedule tells.
        epochs: How often each domain has been read, shape (k,).
        alignment: Inner products of gradients at the last block's end, shape (k, g).
        languages: A number that tells languages by these names from others.
        pairs: Own pairs that told something of effects.
        other_pairs: Those of other sites.
        moments: What own pairs told of effects.
        others: What other sites' pairs told.
        choice: The game's last outcome.
    """

    order: NDArray[np.int64]
    groups: Groups
    target: Array
    schedule: Schedule
    seed: int
    mixture: Array
    loss: Array
    block: Block
    first: Block
    mean_drop: Array
    pace: float
    epochs: Array
    alignment: Array
    languages: int
    pairs: int
    other_pairs: int
    moments: EffectMoments
    others: EffectMoments
    choice: Choice


def first_state(
    task: Task,
    schedule: Schedule,
    families: Mapping[str, Sequence[str]] | None,
    max_groups: int,
) -> MinimaxState:
    """The state before the first step, at the prior; families and groups as in `make_groups`."""
    order = np.argsort(task.names, kind="stable")
    names, sizes = tuple(np.array(task.names)[order].tolist()), task.unique_tokens[order]
    groups = make_groups(names, sizes, task.prior[order], families, max_groups)
    size, shares = task.num_domains, len(groups.prior)
    unknown = np.full(size, np.nan)
    nothing = Block(np.zeros(shares), unknown)
    return MinimaxState(
        order=order,
        groups=groups,
        target=task.target[order],
        schedule=schedule,
        seed=task.seed,
        mixture=groups.prior,
        loss=unknown,
        block=nothing,
        first=nothing,
        mean_drop=unknown,
        pace=0.0,
        epochs=np.zeros(size),
        alignment=np.zeros((size, shares)),
        languages=zlib.crc32("\0".join(names).encode()),
        pairs=0,
        other_pairs=0,
        moments=no_moments(size, shares),
        others=no_moments(size, shares),
        choice=Choice(np.zeros(size), task.target[order], 0.0, 0, 0),
    )
