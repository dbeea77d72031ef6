"""An earlier run's mixture, kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from policies.learned import Learned
from policies.synthetic import make_task


def written(folder: Path, weights: dict[str, float]) -> str:
    domains = {name: {"mean_weight": weight, "weight": 0.5} for name, weight in weights.items()}
    path = folder / "summary.json"
    path.write_text(json.dumps({"domains": domains}))
    return str(path)


def test_mixtures_follow_the_names(tmp_path: Path) -> None:
    summary = written(tmp_path, {"d0001": 0.75, "d0000": 0.25})
    task = make_task(2)
    np.testing.assert_array_equal(Learned(summary=summary).mixture(task), [0.25, 0.75])
    np.testing.assert_array_equal(Learned(summary=summary, which="last").mixture(task), [0.5, 0.5])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"d0000": 1.0}, "same domains.*d0001"),
        ({"d0000": 0.5, "d0001": 0.6}, "must sum to one"),
        ({"d0000": -0.5, "d0001": 1.5}, "not negative"),
    ],
)
def test_other_runs_are_refused(tmp_path: Path, weights: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Learned(summary=written(tmp_path, weights)).mixture(make_task(2))


@pytest.mark.parametrize("text", [None, "", "[]", '{"domains": {"d0000": 3}}', '{"domains": []}'])
def test_what_is_no_summary_is_refused(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "other.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=r"must be the summary\.json of a run"):
        Learned(summary=str(path)).mixture(make_task(2))
    with pytest.raises(ValueError, match="which must be"):
        Learned(summary=str(path), which="best")  # type: ignore[arg-type]
