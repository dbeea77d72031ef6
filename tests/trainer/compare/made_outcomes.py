"""Finished runs with numbers chosen by the tests."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from trainer.compare.outcome import Curve, Outcome

BUDGET = 1000.0


def outcome(
    policy: str,
    seed: int,
    losses: Sequence[float],
    *,
    cost: float = BUDGET,
    seconds: float | None = 1.0,
    test: Sequence[float] | None = None,
) -> Outcome:
    """A run over two domains whose mean loss falls from 4 to the mean of ``losses``."""
    bits = np.array(losses)
    return Outcome(
        policy=policy,
        seed=seed,
        names=("de", "sw"),
        steps=10,
        tokens=np.array([600.0, 400.0]),
        epochs=np.array([0.5, 4.0]),
        mean_weights=np.array([0.6, 0.4]),
        total_cost=cost,
        bits_per_byte=bits,
        test_bits_per_byte=None if test is None else np.array(test),
        seconds_per_step=seconds,
        curve=Curve(np.array([500.0, cost]), np.array([4.0, bits.mean()])),
    )
