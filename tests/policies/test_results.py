from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policies.results import metric_weights, read_results, require_runs

GOOD = "run,weight:a,weight:b,loss:y,loss:x\n1,0.25,0.75,2.0,3.0\n2,0.5,0.5,2.5,3.5\n"


def write(folder: Path, text: str, name: str = "runs.csv") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_columns_get_the_order_of_the_domains(tmp_path: Path) -> None:
    results = read_results(write(tmp_path, GOOD), ["b", "a"])
    np.testing.assert_array_equal(results.mixtures, [[0.75, 0.25], [0.5, 0.5]])
    assert results.metrics == ("x", "y")
    np.testing.assert_array_equal(results.losses, [[3, 2], [3.5, 2.5]])


def test_json_and_table_say_the_same(tmp_path: Path) -> None:
    runs = [
        {"weights": {"a": 0.25, "b": 0.75}, "losses": {"x": 3.0, "y": 2.0}},
        {"weights": {"a": 0.5, "b": 0.5}, "losses": {"x": 3.5, "y": 2.5}},
    ]
    table = read_results(write(tmp_path, GOOD), ["a", "b"])
    document = read_results(write(tmp_path, json.dumps(runs), "runs.json"), ["a", "b"])
    for one, two in zip(table, document, strict=True):
        np.testing.assert_array_equal(one, two)


def test_rounded_mixtures_are_scaled(tmp_path: Path) -> None:
    path = write(tmp_path, "weight:a,weight:b,loss:x\n0.333,0.666,1\n")
    np.testing.assert_allclose(read_results(path, ["a", "b"]).mixtures.sum(axis=1), 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "results must hold at least one run, got none"),
        ("weight:a,weight:b\n0.5,0.5\n", "results must hold at least one loss per run"),
        ("weight:a,loss:x\n1,1\n", r"weights of run 1 must be of 2 names, one each, check \['b'\]"),
        ("weight:a,weight:b,loss:x\n0.5,0.7,1\n", "must sum to one, got a sum of 1.2"),
        ("weight:a,weight:b,loss:x\n1.5,-0.5,1\n", "weights of run 1 must not be negative"),
        ("weight:a,weight:b,loss:x\n0.5,0.5,\n", "losses of run 1 must be finite numbers, got ''"),
        ("weight:a,weight:b,loss:x\n0.5,0.5\n", "must be finite numbers, got None for 'x'"),
        ("weight:a,weight:b,loss:x\n0.5,nan,1\n", "weights of run 1 must be finite numbers"),
    ],
)
def test_nonsense_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_results(write(tmp_path, text), ["a", "b"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "results must be a readable .json file"),
        ("[1]", "results must be a list of"),
        ('[{"weights": {"a": 1}}]', "results must be a list of"),
        ('[{"weights": {"a": 1}, "losses": {"x": "bad"}}]', "got 'bad' for 'x'"),
        ('[{"weights": {"a": 1}, "losses": {"x": [1]}}]', r"got \[1\] for 'x'"),
    ],
)
def test_nonsense_in_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_results(write(tmp_path, text, "runs.json"), ["a"])


def test_other_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"results must be a file ending in .csv or .json"):
        read_results(write(tmp_path, GOOD, "runs.pkl"), ["a", "b"])
    with pytest.raises(ValueError, match=r"results must be a readable .csv file: .*No such file"):
        read_results(tmp_path / "nothing.csv", ["a", "b"])
    (tmp_path / "bytes.csv").write_bytes(b"weight:a\n\xff\xfe\n")
    with pytest.raises(ValueError, match=r"results must be a readable .csv file"):
        read_results(tmp_path / "bytes.csv", ["a"])


def test_too_few_runs_are_refused_with_the_number(tmp_path: Path) -> None:
    results = read_results(write(tmp_path, GOOD), ["a", "b"])
    require_runs(results, 2)
    with pytest.raises(ValueError, match="at least 3 runs for 2 domains, got 2"):
        require_runs(results, 3)


@pytest.mark.parametrize(
    ("given", "metrics", "expected"),
    [
        (None, ["a", "b"], [0.2, 0.8]),
        (None, ["b"], [1.0]),
        (None, ["a", "hellaswag"], [0.5, 0.5]),
        ({"b": 3.0, "hellaswag": 1.0}, ["a", "b", "hellaswag"], [0, 0.75, 0.25]),
    ],
)
def test_what_counts(given: Any, metrics: list[str], expected: list[float]) -> None:
    weights = metric_weights(given, metrics, ["a", "b"], np.array([0.2, 0.8]))
    np.testing.assert_allclose(weights, expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"z": 1.0}, "metrics must be losses of the results, got 'z'"),
        ({"a": 0.0}, "metrics must have weights that are not negative, and one above zero"),
        ({"a": -1.0, "b": 3.0}, "metrics must have weights that are not negative"),
    ],
)
def test_odd_counts_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        metric_weights(given, ["a", "b"], ["a", "b"], np.array([0.5, 0.5]))
