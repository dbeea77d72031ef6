"""Domains that no edge of a skill graph joins to others, and weights that leave them alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policies.signals import Array
from policies.simplex import tilt


def isolated_domains(graph: Array, prior: Array) -> NDArray[np.bool_]:
    """Which domains neither help another nor are helped by one, shape (k,).

    Args:
        graph: Row = domain evaluated, column = trained on, (k, k); empty for the identity.
        prior: The mixture weights start from, shape (k,): a domain at zero stays there.

    Raises:
        ValueError: No other domain is left.
    """
    alone = np.ones(len(prior), dtype=bool)
    if graph.size:
        edges = graph != np.eye(len(graph))
        alone = ~(edges.any(axis=0) | edges.any(axis=1))
    if not prior[~alone].sum() > 0:
        raise ValueError(
            "graph must have an edge between domains of the prior where isolated domains keep "
            "their weight, got none; set isolated to 'weighted'"
        )
    return alone & (prior > 0)


def tilt_the_others(weights: Array, exponent: Array, alone: NDArray[np.bool_]) -> Array:
    """An even share for each isolated domain, the others tilted and scaled to the rest: (k,).

    Args:
        weights: The mixture that the exponents are relative to, shape (k,).
        exponent: Of each domain, shape (k,).
        alone: Which domains are isolated, shape (k,), not all.
    """
    rest = 1 - np.count_nonzero(alone) / len(alone)
    tilted = tilt(np.where(alone, 0.0, weights), np.where(alone, 0.0, exponent))
    return np.where(alone, 1 / len(alone), rest * tilted)
