"""The small run and comparison: made once, from commands that anybody could give."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from trainer import tryout
from trainer.compare.settings import read_comparison

Commands = list[tuple[str, ...]]


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> Commands:
    """What would have been run."""
    given: Commands = []
    monkeypatch.setattr(tryout, "glotmix", lambda *words: given.append(words))
    return given


def summarise(run: Path, *, finished: bool) -> None:
    run.mkdir(exist_ok=True)
    document = {"format": "glotmix-run", "finished": finished}
    (run / "summary.json").write_text(json.dumps(document))


def test_a_run_is_made_once(commands: Commands, tmp_path: Path) -> None:
    run = tryout.small_run(tmp_path)
    assert [words[0] for words in commands] == ["stories", "prepare", "fit"]
    settings = json.loads(Path(commands[-1][-1]).read_text())
    assert settings["run_dir"] == str(run)
    assert settings["data"]["corpus"] == commands[1][3]
    summarise(run, finished=False)
    tryout.small_run(tmp_path)
    assert commands[-1][0] == "fit"
    summarise(run, finished=True)
    commands.clear()
    assert tryout.small_run(tmp_path) == run
    assert commands == []


def test_a_comparison_is_made_once(commands: Commands, tmp_path: Path) -> None:
    (tmp_path / "small-stories").mkdir()
    (tmp_path / "small-stories" / "mixture.json").touch()
    folder = tryout.small_comparison(tmp_path)
    ((command, *words),) = commands
    assert command == "compare"
    comparison, out = read_comparison(list(words))
    assert out == folder
    assert list(comparison.policies) == list(tryout.POLICIES)
    folder.mkdir()
    (folder / "table.csv").touch()
    assert tryout.small_comparison(tmp_path) == folder
    assert len(commands) == 1


def test_a_command_that_fails_says_why() -> None:
    with pytest.raises(RuntimeError, match="no command 'nonsense'"):
        tryout.glotmix("nonsense")
