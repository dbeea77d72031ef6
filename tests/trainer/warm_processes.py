"""Processes that begin with torch, Lightning and transformers imported.

Importing them is most of what a run of a few steps costs. A server imports them once, and every
process is forked from it: it can be killed like any other, and shares nothing with this one.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO, Any
from unittest import mock

_IMPORTED = ["trainer.fit", "transformers.models.llama.modeling_llama", "tensorboard.summary"]
_COMMAND = [sys.executable, "-m", "trainer.cli"]
_context = multiprocessing.get_context("forkserver")
_context.set_forkserver_preload(_IMPORTED)


class WarmProcess:
    """What ``subprocess.Popen`` makes of ``python -m trainer.cli ...``, without its start-up.

    Args:
        words: The command, which must be this one.
        stdout: A named file to append to; a file of its own otherwise.
        env: The environment.
        others: What else ``Popen`` is given here: it leads a session, and reads nothing.
    """

    def __init__(
        self,
        words: Sequence[str],
        *,
        env: Mapping[str, str],
        stdout: IO[bytes] | int = subprocess.PIPE,
        **others: Any,
    ) -> None:
        assert list(words[:3]) == _COMMAND
        assert others["start_new_session"]
        assert others["stderr"] == subprocess.STDOUT
        if isinstance(stdout, int):
            _, name = tempfile.mkstemp(prefix="warm-process")
            self._log, self._own = Path(name), True
        else:
            self._log, self._own = Path(stdout.name), False
        process = _context.Process(target=_enter, args=(list(words[3:]), dict(env), self._log))
        # The server's libraries must not start a thread per core either.
        with mock.patch.dict(os.environ, OMP_NUM_THREADS="1"):
            process.start()
        assert process.pid is not None
        self._process, self.pid = process, process.pid

    @property
    def returncode(self) -> int | None:
        return self._process.exitcode

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(_COMMAND, timeout or 0.0)
        return self._process.exitcode

    def communicate(self, timeout: float | None = None) -> tuple[bytes, None]:
        self.wait(timeout)
        output = self._log.read_bytes()
        if self._own:
            self._log.unlink()
        return output, None


def _enter(words: list[str], env: dict[str, str], log: Path) -> None:
    os.setsid()
    output = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    for stream in (1, 2):
        os.dup2(output, stream)
    os.environ.clear()
    os.environ.update(env)
    sys.path[:0] = [part for part in env.get("PYTHONPATH", "").split(os.pathsep) if part]
    sys.argv = ["glotmix", *words]
    from trainer.cli import main

    main()
