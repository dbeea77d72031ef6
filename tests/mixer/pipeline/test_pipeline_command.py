import sys
from pathlib import Path

import pytest

from mixer.pipeline import command
from trainer.cli import main


@pytest.mark.parametrize("words", [["--pipeline", "a.yaml"], ["--pipeline=a.yaml"]])
def test_the_command_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, words: list[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["glotmix", "prepare", *words, "--out", str(tmp_path)])
    monkeypatch.setattr(command, "find_spec", lambda name: None)
    with pytest.raises(SystemExit, match=r"a pipeline needs datatrove, .* 'glotmix\[prepare\]'"):
        main()
    monkeypatch.setattr(command, "find_spec", lambda name: name)
    runs: list[tuple[Path, Path]] = []

    class Run:
        run_pipeline = staticmethod(lambda config, out: runs.append((config, out)))

    monkeypatch.setattr(command, "import_module", lambda name: Run)
    main()
    assert runs == [(Path("a.yaml"), tmp_path)]
