"""Commands run side by side, a few at a time, until all are through."""

from __future__ import annotations

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NamedTuple, Protocol

# Seconds between two looks at what is under way.
_PAUSE = 0.5


class Job(Protocol):
    """A command under way."""

    def code(self) -> int | None:
        """Its exit status; None while it runs."""

    def stop(self) -> None:
        """End it and all processes it started."""


class Launcher(Protocol):
    """A place where commands run.

    Attributes:
        slots: How many commands may run at once.
    """

    slots: int

    def start(self, words: Sequence[str], log: Path, slot: int) -> Job:
        """Start a command that appends what it prints to a file.

        Args:
            words: The command.
            log: The file.
            slot: Which of the slots it takes, from 0.
        """


class Work(NamedTuple):
    """A command to run.

    Attributes:
        name: What to call it in messages.
        prepare: Makes everything ready and returns the command's words.
        log: Where what it prints goes.
    """

    name: str
    prepare: Callable[[], list[str]]
    log: Path


class Done(NamedTuple):
    """A command that is through.

    Attributes:
        work: Which.
        code: Its exit status.
        seconds: How long it took.
    """

    work: Work
    code: int
    seconds: float


def run_all(works: Sequence[Work], launcher: Launcher) -> Generator[Done, None, None]:
    """Run commands and yield each as it is through; one that fails stops no other.

    Whatever ends the iteration, Ctrl-C included, ends all commands that are still running.
    """
    waiting = deque(works)
    free = list(range(min(launcher.slots, len(works))))
    running: dict[int, tuple[Work, Job, float]] = {}
    with _terminations_interrupt():
        try:
            while waiting or running:
                while waiting and free:
                    work, slot = waiting.popleft(), free.pop(0)
                    words = work.prepare()
                    job = launcher.start(words, work.log, slot)
                    running[slot] = work, job, time.monotonic()
                for slot, (work, job, began) in list(running.items()):
                    code = job.code()
                    if code is not None:
                        del running[slot]
                        free.append(slot)
                        yield Done(work, code, time.monotonic() - began)
                if running:
                    time.sleep(_PAUSE)
        finally:
            for _, job, _ in running.values():
                job.stop()


@contextmanager
def _terminations_interrupt() -> Iterator[None]:
    """Treat a request to terminate as Ctrl-C, so that no command outlives this process."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def last_line(log: Path) -> str:
    """What a command said last: of one that failed, what was wrong."""
    if not log.is_file():
        return "it printed nothing"
    text = log.read_text(encoding="utf-8", errors="replace")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"
