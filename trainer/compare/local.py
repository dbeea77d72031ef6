"""Commands as processes of this machine, each with its share of the GPUs or the cores."""

from __future__ import annotations

import os
import signal
from collections.abc import Sequence
from pathlib import Path
from subprocess import DEVNULL, STDOUT, Popen, TimeoutExpired

from trainer.compare.settings import Document

# Seconds that a command has to end by itself.
_GRACE = 10.0


class LocalJobs:
    """Starts commands as processes.

    Args:
        gpus: Names of the GPUs that commands may use; none for the CPU.
        gpus_each: How many of them a command uses.
        jobs: Commands at once; as many as there are GPUs for, or one, if not given.
    """

    def __init__(self, gpus: Sequence[str], gpus_each: int, jobs: int | None = None) -> None:
        groups = len(gpus) // gpus_each if gpus_each else 0
        self._groups = [list(gpus[n * gpus_each : (n + 1) * gpus_each]) for n in range(groups)]
        self.slots = max(1, groups) if jobs is None else jobs

    def start(self, words: Sequence[str], log: Path, slot: int) -> LocalJob:
        """Start a command that appends what it prints to a file."""
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            return LocalJob(
                Popen(
                    words,
                    stdin=DEVNULL,
                    stdout=output,
                    stderr=STDOUT,
                    env=os.environ | self.environment(slot),
                    # A group of its own, so that ending it ends its workers and ranks too.
                    start_new_session=True,
                )
            )

    def environment(self, slot: int) -> dict[str, str]:
        """What a command in this slot must know to leave the others their share."""
        found: dict[str, str] = {}
        if len(self._groups) > 1:
            found["CUDA_VISIBLE_DEVICES"] = ",".join(self._groups[slot % len(self._groups)])
        if self.slots > 1 and "OMP_NUM_THREADS" not in os.environ:
            # Each would start a thread per core, and all would wait for one another.
            cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
            found["OMP_NUM_THREADS"] = str(max(1, cores // self.slots))
        return found


class LocalJob:
    """A process and the group it leads."""

    def __init__(self, process: Popen[bytes]) -> None:
        self._process = process

    def code(self) -> int | None:
        """Its exit status; None while it runs."""
        return self._process.poll()

    def stop(self) -> None:
        """Ask the group to end, then end it."""
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self._process.pid, number)
                self._process.wait(timeout=_GRACE)
            except ProcessLookupError:
                break
            except TimeoutExpired:
                continue
        self._process.wait()


def local_jobs(run: Document, jobs: int | None) -> LocalJobs:
    """This machine, for runs of a configuration.

    Args:
        run: The configuration; its trainer.accelerator and trainer.devices say what one run uses.
        jobs: Runs at once; None for as many as there are GPUs for.
    """
    trainer = run.get("trainer") or {}
    if trainer.get("accelerator", "auto") not in ("auto", "gpu", "cuda"):
        return LocalJobs((), 0, jobs)
    gpus = _visible_gpus()
    devices = trainer.get("devices", "auto")
    each = len(devices) if isinstance(devices, list) else devices
    # "auto" and -1 take all there are.
    return LocalJobs(gpus, each if isinstance(each, int) and each > 0 else len(gpus), jobs)


def _visible_gpus() -> list[str]:
    import torch

    count = torch.cuda.device_count()
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[:count] if named else [str(number) for number in range(count)]
