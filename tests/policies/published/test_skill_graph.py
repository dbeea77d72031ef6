from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from policies.published.skill_graph import (
    check_graph,
    graph_matrix,
    learn_graph,
    with_halved_edges,
    with_weak_binary_edges,
)

START = {"a": 4.0, "b": 2.0}


def test_graph_of_finished_runs() -> None:
    graph = learn_graph(START, {"a": {"a": 1.0, "b": 1.5}, "b": {"a": 5.0, "b": 1.0}})
    assert graph == {"a": {"a": 0.75, "b": 0.25}, "b": {"a": -0.25, "b": 0.5}}
    # Row = evaluated, column = trained on.
    np.testing.assert_array_equal(graph_matrix(graph, ("a", "b")), [[0.75, -0.25], [0.25, 0.5]])
    np.testing.assert_array_equal(graph_matrix(graph, ("b", "a")), [[0.5, 0.25], [-0.25, 0.75]])


def test_edges_left_out() -> None:
    matrix = graph_matrix({"a": {"c": 0.5}, "b": {"b": 0.0}}, ("a", "b", "c"))
    np.testing.assert_array_equal(matrix, [[1, 0, 0], [0, 0, 0], [0.5, 0, 1]])


def test_edges_are_weakened() -> None:
    matrix = np.array([[1.0, 1.0, -1.0], [0.3, 0.0, 0.0], [1.0, 2.0, 3.0]])
    np.testing.assert_array_equal(
        with_weak_binary_edges(matrix), [[1, 0.5, -1], [0.3, 0, 0], [0.5, 2, 3]]
    )
    np.testing.assert_array_equal(
        with_halved_edges(matrix, 2), [[1, 0.25, -1], [0.075, 0, 0], [0.25, 0.5, 3]]
    )


@pytest.mark.parametrize(
    ("start", "runs", "message"),
    [
        ({"a": 0.0}, {"a": {"a": 1.0}}, "start must be positive and finite, got 0.0 for 'a'"),
        ({"a": np.nan}, {"a": {"a": 1.0}}, "start must be positive and finite, got nan for 'a'"),
        (START, {"a": {"a": 1.0}}, "runs must hold .* got None for 'b' after training on 'a'"),
        (START, {"a": {"a": 1.0, "b": np.inf}}, "runs must hold .* got inf for 'b'"),
    ],
)
def test_losses_are_refused(start: Any, runs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        learn_graph(start, runs)


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        ({"a": 1.0}, "graph must be {trained: {evaluated: edge}}, got 1.0 for 'a'"),
        ({"a": {"b": np.nan}}, "graph must hold numbers .* got nan from 'a' to 'b'"),
        ({"a": {"b": 1e7}}, "graph must hold numbers .* got 10000000.0 from 'a' to 'b'"),
    ],
)
def test_edges_are_refused(graph: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        check_graph(graph)


@pytest.mark.parametrize("graph", [{"x": {"a": 1.0}}, {"a": {"x": 1.0}}])
def test_unknown_domains_are_refused(graph: Any) -> None:
    with pytest.raises(
        ValueError, match=r"graph must name domains of the corpus \(a, b\), got 'x'"
    ):
        graph_matrix(graph, ("a", "b"))
