"""Tasks run by several processes, with one progress bar, which die with the one that asked."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from types import ModuleType, TracebackType
from typing import NoReturn, Protocol, TypeVar

from tqdm import tqdm

POLL_SECONDS = 0.2
LOG_SECONDS = 30.0


class Task(Protocol):
    """Something to do; picklable.

    Attributes:
        label: What it is called in messages.
        size: How much it is, in bytes.
    """

    @property
    def label(self) -> str: ...

    @property
    def size(self) -> int: ...

    def run(self, report: Callable[[int], object]) -> None:
        """Do it; ``report`` is told now and then how many more bytes are done.

        Raises:
            ValueError: The user must mend something; other tasks go on.
            OSError: Likewise.
        """
        ...


T = TypeVar("T", bound=Task)


class Workers:
    """Processes that run tasks, as a context manager.

    Leaving the context, by whatever way, ends them at once: they are killed, not asked, and so they
    are when this process is killed. A task must therefore leave nothing half done under a final
    name.

    Args:
        processes: How many; 0 runs the tasks in this process. A single one may use all cores by
            threads, several use one core each.
    """

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._pool: ProcessPoolExecutor | None = None
        if not processes:
            return
        # Neither "fork" in a process with threads nor what a task inherits from one can be trusted.
        context = multiprocessing.get_context("spawn")
        self._done = context.Value("q", 0)
        # Workers wait for the end of this pipe. Only this process holds the other end.
        self._alive, self._life = context.Pipe(duplex=False)
        self._pool = ProcessPoolExecutor(
            processes,
            mp_context=context,
            initializer=_begin_worker,
            initargs=(self._alive, self._done, processes > 1),
        )

    def run(
        self,
        tasks: Sequence[T],
        title: str,
        follow: Callable[[T], Iterable[T]] = lambda task: (),
    ) -> list[tuple[T, str]]:
        """Run tasks in this order, as many at once as there are processes.

        Args:
            tasks: What to do.
            title: Stands before the progress bar.
            follow: Given a task that is done, what is to be done next, before all others.

        Returns:
            The tasks that failed, each with a sentence that says why.

        Raises:
            ValueError: A process died.
        """
        queue = deque(tasks)
        failures: list[tuple[T, str]] = []
        with _bar(sum(task.size for task in tasks), title) as bar:
            for task, failure in self._outcomes(queue, bar):
                if failure:
                    failures.append((task, failure))
                    bar.write(f"failed: {failure}", file=sys.stderr)
                else:
                    queue.extendleft(follow(task))
        return failures

    def _outcomes(self, queue: deque[T], bar: tqdm[NoReturn]) -> Iterator[tuple[T, str]]:
        """Run what is in the queue, and what is put there meanwhile."""
        if self._pool is None:
            while queue:
                task = queue.popleft()
                yield task, _failure(task, bar.update)
            return
        running: dict[Future[str], T] = {}
        self._done.get_obj().value = 0
        while queue or running:
            # One more than can run at once, so that no process waits for the next.
            while queue and len(running) <= self._processes:
                task = queue.popleft()
                running[_submit(self._pool, task)] = task
            done, _ = wait(running, timeout=POLL_SECONDS, return_when=FIRST_COMPLETED)
            # Read without its lock: a process that was killed may hold that for ever.
            bar.update(self._done.get_obj().value - bar.n)
            for future in done:
                try:
                    yield running.pop(future), future.result()
                except BrokenProcessPool as error:
                    raise ValueError(
                        "a process died, perhaps for want of memory; what is finished is kept: "
                        "run again, with fewer workers"
                    ) from error

    def __enter__(self) -> Workers:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._pool is None:
            return
        if kind is None:
            self._pool.shutdown()
        self._life.close()
        self._alive.close()
        self._pool.shutdown(cancel_futures=True)


def _bar(total: int, title: str) -> tqdm[NoReturn]:
    seconds = POLL_SECONDS if sys.stderr.isatty() else LOG_SECONDS
    return tqdm(
        total=total, desc=title, unit="B", unit_scale=True, mininterval=seconds, leave=False
    )


def _submit(pool: ProcessPoolExecutor, task: Task) -> Future[str]:
    # Submitting may start a process. Ctrl-C reaches all those of a terminal, but is for this one to
    # act upon. And a new process would import the main program, which may be slow (a command line
    # that imports torch) or wrong (a script without a guard); a task needs nothing of it.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    main = sys.modules["__main__"]
    sys.modules["__main__"] = ModuleType("__main__")
    try:
        return pool.submit(_run_in_worker, task)
    finally:
        sys.modules["__main__"] = main
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _failure(task: Task, report: Callable[[int], object]) -> str:
    try:
        task.run(report)
    except ValueError as error:
        return str(error)
    except OSError as error:
        return f"{task.label}: {error}"
    return ""


_progress: Synchronized[int]


def _begin_worker(alive: Connection, progress: Synchronized[int], several: bool) -> None:
    global _progress
    _progress = progress
    os.environ["TOKENIZERS_PARALLELISM"] = "false" if several else "true"
    threading.Thread(target=_die_with, args=(alive,), daemon=True).start()


def _die_with(alive: Connection) -> None:
    alive.poll(None)
    os._exit(1)


def _report(size: int) -> None:
    with _progress.get_lock():
        _progress.value += size


def _run_in_worker(task: Task) -> str:
    return _failure(task, _report)
