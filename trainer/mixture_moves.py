"""When the mixture of a run moved, by what was read rather than by what was asked for."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from policies import Array
from trainer.report.curves import Curves


class Move(NamedTuple):
    """What changed from one stretch of a run to the next.

    Attributes:
        step: Where the second of them begins.
        moved: Share that changed hands, in [0, 1].
        gained: Change of each language's share, by name, largest gain first.
    """

    step: int
    moved: float
    gained: dict[str, float]


def shares_read(tokens: Curves, stretches: int) -> Curves:
    """The shares of what was read in stretches of a run as equal as what was logged allows.

    Some policies change the mixture to and fro at every step to learn from it. Weights that are
    logged now and then show that, and not where the mixture goes; tokens read in between do.

    Args:
        tokens: Tokens read of each language so far, ``mixture/tokens`` of a run.
        stretches: How many; fewer if less was logged.

    Returns:
        Shares by the step at which each stretch begins.

    Raises:
        ValueError: Nothing was logged.
    """
    logged = tokens.complete()
    if not len(logged.steps):
        raise ValueError(
            "tokens must be those of a run that logged them; train with a smaller "
            "trainer.log_every_n_steps"
        )
    steps = np.concatenate([[0.0], logged.steps])
    totals = np.vstack([np.zeros_like(logged.values[:1]), logged.values])
    wanted = np.linspace(0.0, steps[-1], stretches + 1)
    places = np.unique(np.abs(steps[:, None] - wanted).argmin(axis=0))
    read = np.diff(totals[places], axis=0)
    return Curves(steps[places[:-1]], logged.names, read / read.sum(axis=1, keepdims=True))


def moves(shares: Curves) -> list[Move]:
    """All changes from stretch to stretch, in their order; see `shares_read`."""
    changes: Array = np.diff(shares.values, axis=0)
    found = []
    for step, change in zip(shares.steps[1:], changes, strict=True):
        by_gain = sorted(zip(shares.names, change.tolist(), strict=True), key=lambda one: -one[1])
        found.append(Move(int(step), float(np.abs(change).sum() / 2), dict(by_gain)))
    return found
