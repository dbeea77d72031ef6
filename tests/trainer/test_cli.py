import subprocess
import sys
from pathlib import Path

import pytest
from small_runs import configuration, write


def glotmix(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trainer.cli", *words], capture_output=True, text=True, timeout=120
    )


def test_help_lists_every_command() -> None:
    result = glotmix("--help")
    for command in (
        "fit",
        "validate",
        "test",
        "prepare",
        "manifest",
        "verify",
        "stories",
        "simulate",
        "show",
        "compare",
        "report",
        "export",
        "lid train",
        "lid check",
        "lid filter",
    ):
        assert f"\n  {command}" in result.stdout
    assert result.returncode == 0


def test_an_unknown_command_is_named() -> None:
    result = glotmix("fitt")
    assert result.returncode == 1
    assert result.stderr.startswith("glotmix: no command 'fitt'; there are fit,")


@pytest.mark.slow
def test_mistakes_are_told_in_one_line(corpus: Path, tmp_path: Path) -> None:
    config = configuration(corpus, tmp_path / "run", data__sequence_length=4000)
    result = glotmix("fit", "--config", str(write(config, tmp_path)))
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert "glotmix fit: sequence_length 4000 is too long for domain 'sw'" in result.stderr
    result = glotmix("show", str(tmp_path))
    assert result.returncode == 1
    assert result.stderr.startswith(f"glotmix show: {tmp_path} holds neither live.json nor")
