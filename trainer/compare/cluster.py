"""Commands as jobs of a cluster, by submitit."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from trainer.compare.settings import Document

# More than any comparison has, where nothing bounds the number of jobs at once.
_MANY = 10_000


class ClusterJobs:
    """Starts commands as jobs; cluster and this machine must share the folders.

    Args:
        settings: Parameters of submitit's ``AutoExecutor``, such as slurm_partition, gpus_per_node
            and timeout_min; "cluster" among them names the executor.
        folder: Where submitit keeps its files.
        jobs: Jobs at once; no bound if not given.

    Raises:
        ValueError: submitit is not installed, or knows no such setting.
    """

    def __init__(self, settings: Document, folder: Path, jobs: int | None = None) -> None:
        try:
            submitit = import_module("submitit")
        except ImportError as error:
            raise ValueError(
                "runs on a cluster need submitit; install glotmix with the extra cluster, or leave "
                "the key submitit away to train on this machine"
            ) from error
        parameters = dict(settings)
        cluster = parameters.pop("cluster", None)
        try:
            self._executor = submitit.AutoExecutor(folder=folder, cluster=cluster)
            self._executor.update_parameters(**parameters)
        except (NameError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"submitit cannot be used as configured: {error}") from error
        self.slots = _MANY if jobs is None else jobs

    def start(self, words: Sequence[str], log: Path, slot: int) -> ClusterJob:
        """Submit a command that appends what it prints to a file."""
        return ClusterJob(self._executor.submit(execute, list(words), str(log)))


class ClusterJob:
    """A job that submitit started."""

    def __init__(self, job: Any) -> None:
        self._job = job

    def code(self) -> int | None:
        """The command's exit status, or 1 if the job itself failed; None while it runs."""
        if not self._job.done():
            return None
        # Preempted, out of time, out of memory: submitit raises, and the other jobs go on.
        if self._job.exception() is not None:
            return 1
        return int(self._job.result())

    def stop(self) -> None:
        """Take the job off the cluster."""
        self._job.cancel(check=False)


def execute(words: list[str], log: str) -> int:
    """What a job does: run a command, append what it prints to a file, return its status."""
    with open(log, "ab") as output:
        return subprocess.run(
            words, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False
        ).returncode
