"""A small run and a small comparison for all notebooks, and one kernel that executes them."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from notebook_kernel import Kernel

from trainer import cli, tryout
from trainer.compare import comparing


class Here:
    """Runs the commands of a comparison in this process, which need not be started each time."""

    slots = 1

    def start(self, words: Sequence[str], log: Path, slot: int) -> SimpleNamespace:
        glotmix_here(*words[3:])
        return SimpleNamespace(code=lambda: 0, stop=lambda: None)


def glotmix_here(*words: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["glotmix", *words])
        cli.main()


@pytest.fixture(scope="session")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Where the notebooks find a run and a comparison, as environment variables say it."""
    folder = tmp_path_factory.mktemp("notebooks")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tryout, "glotmix", glotmix_here)
        patch.setattr(comparing, "local_jobs", lambda run, jobs: Here())
        run, comparison = tryout.small_run(folder), tryout.small_comparison(folder)
    return {"GLOTMIX_RUN": str(run), "GLOTMIX_COMPARISON": str(comparison)}


@pytest.fixture(scope="session")
def kernel(folders: Mapping[str, str]) -> Iterator[Kernel]:
    kernel = Kernel({**os.environ, **folders, "PYTHONWARNINGS": "default"})
    yield kernel
    kernel.close()
