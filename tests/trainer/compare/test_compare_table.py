"""The tables and the picture of runs whose numbers are known."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import numpy as np
import pytest
from made_outcomes import BUDGET, outcome

from policies.results import read_results
from trainer.compare.outcome import Outcome
from trainer.compare.plot import draw
from trainer.compare.records import run_record, standing_record, write_records
from trainer.compare.standings import Standing, standings
from trainer.compare.table import aligned, render


def runs(*, tested: bool = False) -> dict[str, list[Outcome]]:
    """A baseline, a policy that is better by about 0.5 on three seeds, and one that is not."""
    test = (1.0, 2.0) if tested else None
    base = [outcome("base", seed, (2.0 + seed, 3.0 + seed), test=test) for seed in range(3)]
    better = [
        outcome("better", seed, (1.5 + seed, 2.5 + seed + 0.1 * (seed - 1)), seconds=2.0, test=test)
        for seed in range(3)
    ]
    mixed = [
        outcome("mixed", seed, (2.0 + seed + shift, 3.0 + seed), cost=950.0, test=test)
        for seed, shift in ((0, 0.5), (1, -0.4))
    ]
    return {"base": base, "better": better, "mixed": mixed}


def by_name(found: list[Standing]) -> dict[str, Standing]:
    return {standing.name: standing for standing in found}


def row(text: str, name: str) -> list[str]:
    (line,) = [line for line in text.split("\n\n")[1].splitlines() if line.startswith(f"| {name} ")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_policies_are_set_against_the_baseline_seed_by_seed() -> None:
    found = by_name(standings(runs(), {"mixed": [2]}, "base"))
    better = found["better"]
    assert better.mean_difference.difference == pytest.approx(-0.5)
    assert better.mean_difference.wins == 3
    assert better.mean_difference.clear
    assert better.worst_name == "sw"
    assert better.domain_differences[0].half == pytest.approx(0.0)
    # t(0.975, 2) times a deviation of 0.1 over the root of three.
    assert better.worst_difference.half == pytest.approx(4.30265 * 0.1 / math.sqrt(3), rel=1e-5)
    assert better.time_ratio == 2.0
    # Of seed 0: from 4.0 at 500 to 1.95 at 1,000, the baseline's 2.5 lies at 1.5 / 2.05.
    costs = [500 + 500 * part for part in (1.5 / 2.05, 0.5 / 1.0)]
    first = standings({key: one[:2] for key, one in runs().items()}, {}, "base")
    assert by_name(first)["better"].cost_to_reach == pytest.approx(np.mean(costs))
    mixed = found["mixed"]
    assert (mixed.mean_difference.number, mixed.mean_difference.wins) == (2, 1)
    assert not mixed.mean_difference.clear
    assert mixed.reached == 1
    assert mixed.off_budget(BUDGET)
    assert not better.off_budget(BUDGET)


def test_the_table_claims_nothing_that_the_interval_does_not() -> None:
    text = render(standings(runs(), {"mixed": [2]}, "base"), "base", BUDGET)
    better, mixed, base = row(text, "better"), row(text, "mixed"), row(text, "base")
    assert better[4:6] == ["3.0000", "-0.5000 ± 0.1242"]
    assert better[9:] == ["3/3", "0.71", "2.00"]
    assert mixed[1:4] == ["2", "10", "95.0% ‡"]
    assert mixed[5] == "+0.0250 ± 2.8589 ≈"
    assert mixed[10] == "0.82 (1 of 2)"
    assert base[5] == base[8] == base[9] == "-"
    assert "mixed: the run of seed 2 failed" in text
    assert "‡: a run's cost is more than 1%" in text
    assert "Test split" not in text


def test_without_a_baseline_nothing_is_compared() -> None:
    text = render(standings({**runs(), "base": []}, {"base": [0, 1, 2]}, "base"), "base", BUDGET)
    assert row(text, "better")[5] == "-"
    assert row(text, "base")[1] == "0"


def test_a_domain_that_diverged_shows() -> None:
    lost = runs()
    lost["better"][1] = outcome("better", 1, (math.nan, 2.0))
    text = render(standings(lost, {}, "base"), "base", BUDGET)
    assert row(text, "better")[4:6] == ["-", "-"]


def test_the_test_split_is_told_where_it_was_touched() -> None:
    text = render(standings(runs(tested=True), {}, "base"), "base", BUDGET)
    assert "Test split" in text
    assert "| better | 1.5000 | +0.0000 ± 0.0000 ≈ |" in text


def test_records_hold_what_the_table_rounds(tmp_path: Path) -> None:
    found = standings(runs(tested=True), {}, "base")
    write_records(tmp_path / "table.csv", [standing_record(one, BUDGET) for one in found])
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [one["policy"] for one in rows] == ["base", "better", "mixed"]
    assert float(rows[1]["mean_difference"]) == found[1].mean_difference.difference
    assert float(rows[1]["loss:sw_half_interval"]) == found[1].domain_differences[1].half
    assert rows[2]["failed"] == "0"
    assert float(rows[2]["over_budget"]) == pytest.approx(-0.05)
    assert float(rows[0]["test_worst"]) == 2.0


def test_runs_serve_rules_that_fit_finished_runs(tmp_path: Path) -> None:
    every = [one for several in runs().values() for one in several]
    every[0] = outcome("base", 0, (2.0, 3.0), seconds=None, test=(1.0, 1.0))
    write_records(tmp_path / "runs.csv", [run_record(one) for one in every])
    found = read_results(tmp_path / "runs.csv", ["sw", "de"])
    assert found.metrics == ("de", "sw")
    np.testing.assert_allclose(found.mixtures, [[0.4, 0.6]] * len(every))
    np.testing.assert_allclose(found.losses[:, 1], [one.bits_per_byte[1] for one in every])
    with (tmp_path / "runs.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert (rows[0]["seconds_per_step"], rows[0]["test:sw"]) == ("", "1.0")
    assert rows[1]["test:sw"] == ""


def test_columns_are_aligned() -> None:
    assert aligned([["a", "b"], ["long", "1"]]).splitlines() == [
        "| a    |   b |",
        "| ---- | --: |",
        "| long |   1 |",
    ]


def test_the_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    draw(standings(runs(), {}, "base"), "base", tmp_path / "all.png")
    draw(standings({**runs(), "base": []}, {}, "base"), "base", tmp_path / "lost.png")
    for name in ("all.png", "lost.png"):
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
