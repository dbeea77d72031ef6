"""Graphs that say how much training on one domain helps another, for Skill-It."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from policies.signals import Array

MAX_EDGE = 1e6


def learn_graph(
    start: Mapping[str, float], runs: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, float]]:
    """The graph that finished runs on one domain each tell of, for `SkillIt`.

    The edge from trained domain j to evaluated domain i is the part of the loss that the run took
    off, ``(L_i(0) - L_i(end)) / L_i(0)`` (Chen et al. 2023, arXiv 2307.14430, as computed in the
    code of Chen et al. 2024, arXiv 2411.05735).

    Args:
        start: Held-out loss of each domain before training, ``{evaluated: loss}``, in any unit.
        runs: Held-out losses at the end of each run, ``{trained: {evaluated: loss}}``.

    Returns:
        The edges, ``{trained: {evaluated: edge}}``; negative where training did harm.

    Raises:
        ValueError: A loss is missing, not finite, or zero at the start.
    """
    for name, loss in start.items():
        if not 0 < loss < np.inf:
            raise ValueError(f"start must be positive and finite, got {loss} for {name!r}")
    for trained, losses in runs.items():
        for evaluated in start:
            if not np.isfinite(losses.get(evaluated, np.nan)):
                raise ValueError(
                    f"runs must hold a finite loss of every domain, "
                    f"got {losses.get(evaluated)} for {evaluated!r} after training on {trained!r}"
                )
    return {
        trained: {evaluated: (loss - losses[evaluated]) / loss for evaluated, loss in start.items()}
        for trained, losses in runs.items()
    }


def check_graph(graph: Mapping[str, Mapping[str, float]]) -> None:
    """Check the edges of a graph, whatever domains there are.

    Raises:
        ValueError: The graph is not nested by trained and evaluated domain, or an edge is no
            number to calculate with.
    """
    for trained, edges in graph.items():
        if not isinstance(edges, Mapping):
            raise ValueError(
                f"graph must be {{trained: {{evaluated: edge}}}}, got {edges!r} for {trained!r}"
            )
        for evaluated, edge in edges.items():
            if not abs(edge) <= MAX_EDGE:
                raise ValueError(
                    f"graph must hold numbers between -1e6 and 1e6, "
                    f"got {edge} from {trained!r} to {evaluated!r}"
                )


def graph_matrix(graph: Mapping[str, Mapping[str, float]], names: Sequence[str]) -> Array:
    """The graph as a matrix, (k, k), whose rows are domains evaluated and columns those trained on.

    Edges left out are zero, and one from a domain to itself.

    Raises:
        ValueError: The graph names a domain that is not in the corpus.
    """
    position = {name: index for index, name in enumerate(names)}
    matrix = np.eye(len(names))
    for trained, edges in graph.items():
        for name in (trained, *edges):
            if name not in position:
                raise ValueError(
                    f"graph must name domains of the corpus "
                    f"({', '.join(names[:8])}{', ...' * (len(names) > 8)}), got {name!r}"
                )
        for evaluated, edge in edges.items():
            matrix[position[evaluated], position[trained]] = edge
    return matrix


def with_weak_binary_edges(matrix: Array) -> Array:
    """The matrix with a half for every edge between two domains that is exactly one, (k, k)."""
    between = ~np.eye(len(matrix), dtype=bool)
    return np.where(between & (matrix == 1), 0.5, matrix)


def with_halved_edges(matrix: Array, times: int) -> Array:
    """The matrix with all positive edges between two domains halved so many times, (k, k)."""
    between = ~np.eye(len(matrix), dtype=bool)
    return np.where(between & (matrix > 0), matrix * 0.5**times, matrix)
