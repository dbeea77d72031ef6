"""The two rules that fit a law to finished runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from policies import Task
from policies.contract import check_policy
from policies.log_linear import LogLinear, propose
from policies.published.olmix import Olmix
from policies.published.regmix import RegMix
from policies.signals import Array
from policies.synthetic import make_task

Law = Callable[[Array], Array]
FAST: dict[str, Any] = {"samples": 2000, "trees": 60, "rate": 0.1, "keep": 16}


def write_runs(path: Path, task: Task, law: Law, runs: int, metrics: list[str]) -> str:
    """A table of runs at random mixtures with the losses of a law, columns in any order."""
    mixtures = np.random.default_rng(0).dirichlet(np.ones(task.num_domains), runs)
    losses = law(mixtures)
    header = [f"loss:{name}" for name in metrics] + [
        f"weight:{name}" for name in sorted(task.names)
    ]
    place = {name: column for column, name in enumerate(task.names)}
    columns = [place[name] for name in sorted(task.names)]
    rows = np.hstack([losses, mixtures[:, columns]])
    lines = [",".join(header)] + [",".join(map(repr, row)) for row in rows.tolist()]
    path.write_text("\n".join(lines), encoding="utf-8")
    return str(path)


def own_law(task: Task, pull: float = 1.0) -> LogLinear:
    """A loss per domain that falls with the domain's own share, the first's by far the most."""
    strength = np.ones(task.num_domains)
    strength[0] = 6.0
    return LogLinear(np.full(task.num_domains, 1.5), -pull * np.diag(strength))


def plenty(size: int) -> Task:
    task = make_task(size)
    return replace(task, unique_tokens=np.full(size, 1e12))


@pytest.mark.parametrize("rule", ["Olmix", "RegMix"])
@pytest.mark.parametrize("size", [1, 2, 13])
def test_contract(tmp_path: Path, rule: str, size: int) -> None:
    task = make_task(size)
    law = LogLinear(np.array([1.5]), -np.arange(1.0, size + 1)[None])
    path = write_runs(tmp_path / "runs.csv", task, law.predict, size + 3, ["loss"])
    policies = {
        "Olmix": Olmix(results=path, max_epochs=None),
        "RegMix": RegMix(results=path, samples=50, keep=4, trees=2),
    }
    check_policy(policies[rule], sizes=[size])


def test_olmix_finds_the_optimum_of_the_planted_law(tmp_path: Path) -> None:
    task = plenty(4)
    law = own_law(task)
    path = write_runs(tmp_path / "runs.csv", task, law.predict, 60, list(task.names))
    weights = Olmix(results=path).mixture(task)
    expected = propose(law, task.target, task.prior, np.ones(4), 0.05)
    assert expected is not None
    np.testing.assert_allclose(weights, expected, atol=2e-3)
    assert weights[0] > task.prior[0] or weights[0] == weights.max()


def test_olmix_keeps_its_cap_on_repetition(tmp_path: Path) -> None:
    task = plenty(4)
    scarce = 0.02 * task.total_tokens
    task = replace(task, unique_tokens=np.array([scarce, 1e12, 1e12, 1e12]))
    path = write_runs(tmp_path / "r.csv", task, own_law(task).predict, 60, list(task.names))
    weights = Olmix(results=path).mixture(task)
    assert weights[0] == pytest.approx(4 * 0.02, abs=1e-6)
    assert Olmix(results=path, max_epochs=None).mixture(task)[0] > 0.2


def test_olmix_refuses_a_cap_that_no_mixture_keeps(tmp_path: Path) -> None:
    task = replace(plenty(2), unique_tokens=np.full(2, 1000.0))
    path = write_runs(tmp_path / "runs.csv", task, own_law(task).predict, 9, list(task.names))
    fewest = task.total_tokens / 2000
    with pytest.raises(ValueError, match=f"max_epochs must be at least {fewest:.4g}"):
        Olmix(results=path).init(task)


@pytest.mark.parametrize("rule", [Olmix, RegMix])
def test_metrics_decide(tmp_path: Path, rule: type[Any]) -> None:
    """Only the first domain lowers the one metric, only the last the other."""
    task = plenty(3)
    law = LogLinear(np.ones(2), np.array([[-3.0, 0, 0], [0, 0, -3.0]]))
    path = write_runs(tmp_path / "runs.csv", task, law.predict, 80, ["first", "last"])
    fast = FAST if rule is RegMix else {}
    first = rule(results=path, metrics={"first": 1.0}, **fast).mixture(task)
    last = rule(results=path, metrics={"last": 1.0}, **fast).mixture(task)
    assert first[0] > 0.7 > 0.3 > first[2]
    assert last[2] > 0.7 > 0.3 > last[0]


def test_regmix_finds_a_valley_that_a_line_cannot_see(tmp_path: Path) -> None:
    task = plenty(3)

    def valley(mixtures: Array) -> Array:
        return 1 + 4 * (mixtures[:, :1] - 0.4) ** 2 + 4 * (mixtures[:, 1:2] - 0.4) ** 2

    path = write_runs(tmp_path / "runs.csv", task, valley, 200, ["loss"])
    weights = RegMix(results=path, **FAST).mixture(task)
    np.testing.assert_allclose(weights, [0.4, 0.4, 0.2], atol=0.08)


def test_regmix_is_its_seeds(tmp_path: Path) -> None:
    task = plenty(3)
    path = write_runs(tmp_path / "runs.csv", task, own_law(task).predict, 30, list(task.names))
    policy = RegMix(results=path, **FAST)
    np.testing.assert_array_equal(policy.mixture(task), policy.mixture(task))
    assert not np.array_equal(policy.mixture(task), policy.mixture(replace(task, seed=1)))


@pytest.mark.parametrize("rule", [Olmix, RegMix])
def test_zero_prior_stays_zero(tmp_path: Path, rule: type[Any]) -> None:
    task = replace(plenty(3), prior=np.array([0.0, 0.4, 0.6]))
    path = write_runs(tmp_path / "runs.csv", task, own_law(task).predict, 30, list(task.names))
    fast = FAST if rule is RegMix else {}
    assert rule(results=path, **fast).mixture(task)[0] == 0


@pytest.mark.parametrize("rule", [Olmix, RegMix])
def test_too_few_runs_are_refused(tmp_path: Path, rule: type[Any]) -> None:
    task = plenty(4)
    path = write_runs(tmp_path / "runs.csv", task, own_law(task).predict, 4, list(task.names))
    with pytest.raises(ValueError, match="at least 5 runs for 4 domains, got 4"):
        rule(results=path).init(task)


def test_olmix_refuses_losses_that_are_not_positive(tmp_path: Path) -> None:
    task = plenty(2)
    path = write_runs(tmp_path / "runs.csv", task, lambda x: x[:, :1] - 0.5, 9, ["score"])
    with pytest.raises(ValueError, match=r"losses must be positive for this law, got -0\."):
        Olmix(results=path).init(task)


@pytest.mark.parametrize(
    ("rule", "settings", "message"),
    [
        (Olmix, {"kl": -1.0}, r"kl must be in \[0, 1e3\], got -1.0"),
        (Olmix, {"max_epochs": 0.0}, "max_epochs must be positive and finite, or left out"),
        (Olmix, {"huber": 0.0}, "huber must be positive and finite, got 0.0"),
        (RegMix, {"samples": 0}, "samples must be at least 1, got 0"),
        (RegMix, {"samples": 10}, r"keep must be at most samples \(10\), got 128"),
        (RegMix, {"strength": 0.0}, r"strength must be in \(0, 1e9\], got 0.0"),
        (RegMix, {"rate": 2.0}, r"rate must be in \(0, 1\], got 2.0"),
    ],
)
def test_settings_are_refused(rule: type[Any], settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        rule(results="runs.csv", **settings)
