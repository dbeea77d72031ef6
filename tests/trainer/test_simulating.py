from __future__ import annotations

from pathlib import Path

import pytest
from test_cli import glotmix

from policies import UCB
from trainer.simulating import named_policies, run


def test_a_table_and_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    out = tmp_path / "out"
    ucb = '{"class_path": "UCB", "init_args": {"gamma": 0.9}}'
    words = ["--policy", "Uniform", ucb, "--scenario", "independent", "--seeds", "2"]
    run([*words, "--out", str(out)])
    printed = capsys.readouterr().out
    for row in ("best mixture", "Uniform", "UCB(gamma=0.9)"):
        assert f"\n| {row} " in printed
    assert (out / "simulate.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "simulate.md").read_text() in printed


def test_policies_by_name_path_and_settings() -> None:
    words = ["UCB", '{"class_path": "policies.UCB", "init_args": {"gamma": 0.5}}']
    assert named_policies(words) == {"UCB": UCB(), "UCB(gamma=0.5)": UCB(gamma=0.5)}
    assert list(named_policies(["policies.uniform.Uniform"])) == ["Uniform"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--policy", "UCB", "--scenario", "x"], "scenario must be one of .* got 'x'"),
        (["--policy", "Nobody"], "policy must be one of .*Fixed, .* got 'Nobody'"),
        (["--policy", "policies.Nobody"], "policy 'policies.Nobody' cannot be made"),
        (["--policy", "Fixed"], "cannot be made: .*arguments are required: weights$"),
        (["--policy", "{'class_path': "], "policy must be JSON like .* Expecting property name"),
        (["--policy", '{"class_path": "UCB", "gamma": 1}'], "policy must have the keys of"),
        (
            ["--policy", '{"class_path": "UniMax", "init_args": {"max_epoch": 1}}'],
            "policy UniMax has no setting max_epoch; it has max_epochs",
        ),
        (["--policy", "UCB", "--policy.gamma", "1"], "settings of a policy come with it"),
        (["--policy", "UCB", "--out", "/dev/null/x"], "out must be a folder that can be written"),
        (["--policy", "UCB", "UCB"], "policy UCB is named twice"),
        (
            ["--policy", '{"class_path": "UCB", "init_args": {"gamma": 2}}'],
            r"cannot be made: gamma must be in \(0, 1\], got 2.0$",
        ),
        (["--policy", "UCB", "--seeds", "0"], "seeds must be at least 1"),
    ],
)
def test_mistakes_are_told_in_a_sentence(words: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        run(words)
    assert "\n" not in str(caught.value)


def test_the_command_is_there() -> None:
    result = glotmix("simulate", "--policy", "UCB", "--scenario", "x")
    assert result.returncode == 1
    assert result.stderr.startswith("glotmix simulate: scenario must be one of english_rich,")
    assert "Traceback" not in result.stderr
