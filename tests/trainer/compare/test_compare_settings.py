"""What a comparison's YAML may say, and what is refused before anything runs."""

from __future__ import annotations

from argparse import ArgumentError
from pathlib import Path
from typing import Any

import pytest
import yaml
from small_runs import configuration

from trainer.compare.comparing import budget_of, run
from trainer.compare.settings import Comparison, read_comparison
from trainer.compare.tasks import Tasks, make_policy

ROOT = Path(__file__).parents[3]


def write(folder: Path, **content: Any) -> list[str]:
    path = folder / "compare.yaml"
    document = {"run": {}, "policies": {"uniform": "Uniform"}, "baseline": "uniform"} | content
    path.write_text(yaml.safe_dump(document))
    return ["--config", str(path), "--out", str(folder / "out")]


def test_the_run_may_be_a_path(tmp_path: Path) -> None:
    inner = {"data": {"corpus": "somewhere"}, "model": {"learning_rate": 1e-5}}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(inner))
    policies = {"uniform": "Uniform", "t": {"class_path": "Temperature", "init_args": {"alpha": 1}}}
    words = write(tmp_path, run="run.yaml", policies=policies, seeds=[4, 2])
    found, out = read_comparison([*words, "--jobs", "3"])
    assert found.run == inner
    assert found.seeds == [4, 2]
    assert found.jobs == 3
    assert out == tmp_path / "out"
    assert found.policy("uniform") == {"class_path": "Uniform"}
    assert found.policy("t") == policies["t"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"baseline": "nobody"}, "baseline must be one of the policies uniform, got 'nobody'"),
        ({"policies": {"a/b": "Uniform"}}, "names in policies become folders: .* got 'a/b'"),
        ({"policies": {"jobs": "Uniform"}}, "not pilot or jobs, got 'jobs'"),
        ({"seeds": [1, 1]}, r"seeds must be different and not negative, got \[1, 1\]"),
        ({"seeds": []}, "seeds must be different"),
        ({"jobs": 0}, "jobs must be at least 1"),
        ({"budget_tokens": 0.0}, "budget_tokens must be positive, got 0.0"),
        ({"budget": 5}, "budget"),
    ],
)
def test_mistakes_are_refused(tmp_path: Path, content: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, ArgumentError), match=message):
        read_comparison(write(tmp_path, **content))


def test_policies_are_made_before_anything_runs(corpus: Path, tmp_path: Path) -> None:
    inner = configuration(corpus, tmp_path / "unused")
    for policy, message in (
        ("Nobody", "policies.p cannot be made: policy must be one of .* got 'Nobody'"),
        (
            {"class_path": "UniMax", "init_args": {"max_epochs": -1}},
            "policies.p cannot be made: max_epochs must be positive",
        ),
    ):
        words = write(tmp_path, run=inner, policies={"p": policy}, baseline="p")
        with pytest.raises(ValueError, match=message) as caught:
            run(words)
        assert "\n" not in str(caught.value)
    inner["data"]["corpus"] = str(tmp_path / "gone")
    with pytest.raises(ValueError, match="run cannot be made: "):
        run(write(tmp_path, run=inner))


def test_the_budget_is_that_of_the_steps_unless_said(corpus: Path, tmp_path: Path) -> None:
    inner = configuration(corpus, tmp_path / "unused", trainer__max_steps=20)
    settings = {"run": inner, "policies": {"u": "Uniform"}, "baseline": "u"}
    tasks = Tasks(inner)
    assert budget_of(Comparison(**settings), tasks) == 20 * 8 * 32
    assert budget_of(Comparison(**settings, budget_tokens=7.0), tasks) == 7.0
    del inner["trainer"]["max_steps"]
    with pytest.raises(ValueError, match=r"budget_tokens or run\.trainer\.max_steps must"):
        budget_of(Comparison(**settings), tasks)


def test_tasks_are_those_of_runs(corpus: Path, tmp_path: Path) -> None:
    inner = configuration(corpus, tmp_path / "unused")
    inner |= {"prior": {"class_path": "Proportional"}, "target": {"sw": 1.0}}
    task = Tasks(inner).of(7, seed=3)
    assert (task.total_steps, task.tokens_per_step, task.seed) == (7, 256, 3)
    assert task.target[task.names.index("sw")] == 1.0
    assert task.prior[task.names.index("en")] > 0.6


def test_the_comparison_that_comes_along_can_be_made() -> None:
    path = ROOT / "configs" / "compare-phpdoc.yaml"
    found, _ = read_comparison(["--config", str(path), "--out", "unused"])
    assert found.baseline in found.policies
    for name in found.policies:
        make_policy(name, found.policy(name))
