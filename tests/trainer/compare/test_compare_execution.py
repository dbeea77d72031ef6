"""Commands side by side: on this machine, failing, interrupted, and as jobs of a cluster."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from contextlib import closing, suppress
from pathlib import Path

import pytest

from trainer.compare.cluster import ClusterJobs, execute
from trainer.compare.execution import Work, last_line, run_all
from trainer.compare.local import LocalJobs, local_jobs


def work(name: str, script: str, folder: Path) -> Work:
    return Work(name, lambda: [sys.executable, "-c", script], folder / f"{name}.log")


def alive(process: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(process, 0)
        return Path(f"/proc/{process}/stat").read_text().split()[2] != "Z"
    return False


def wait_for(path: Path) -> str:
    deadline = time.monotonic() + 20
    while not (path.exists() and path.read_text()):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return path.read_text()


def test_a_command_that_fails_stops_no_other(tmp_path: Path) -> None:
    works = [
        work("good", "print('one'); print('two\\n')", tmp_path),
        work("bad", "import sys; sys.exit('glotmix fit: no')", tmp_path),
        work("after", "pass", tmp_path),
    ]
    codes = {done.work.name: done.code for done in run_all(works, LocalJobs((), 0))}
    assert codes == {"good": 0, "bad": 1, "after": 0}
    assert [last_line(one.log) for one in works] == ["two", "glotmix fit: no", "it printed nothing"]


def test_no_more_commands_than_slots_run_at_once(tmp_path: Path) -> None:
    script = (
        "import os, pathlib, time\n"
        f"folder = pathlib.Path({str(tmp_path)!r})\n"
        "mine = folder / f'{os.getpid()}.runs'; mine.touch()\n"
        "time.sleep(0.5); print(len(list(folder.glob('*.runs')))); mine.unlink()"
    )
    works = [work(f"w{number}", script, tmp_path) for number in range(4)]
    assert len(list(run_all(works, LocalJobs((), 0, jobs=2)))) == 4
    assert max(int(last_line(one.log)) for one in works) == 2


@pytest.mark.parametrize("way", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_ends_all_that_was_started(tmp_path: Path, way: signal.Signals) -> None:
    pids = tmp_path / "pids"
    script = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
        f"open({str(pids)!r}, 'w').write(f'{{os.getpid()}} {{child.pid}}')\n"
        "time.sleep(60)"
    )

    def interrupt() -> None:
        wait_for(pids)
        os.kill(os.getpid(), way)

    threading.Thread(target=interrupt).start()
    began = time.monotonic()
    with (
        pytest.raises(KeyboardInterrupt),
        closing(run_all([work("long", script, tmp_path)], LocalJobs((), 0))) as through,
    ):
        list(through)
    time.sleep(0.1)
    assert not any(alive(int(pid)) for pid in pids.read_text().split())
    assert time.monotonic() - began < 30
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_runs_share_what_the_machine_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    four = LocalJobs("abcd", 2)
    assert four.slots == 2
    found = [four.environment(slot)["CUDA_VISIBLE_DEVICES"] for slot in range(2)]
    assert found == ["a,b", "c,d"]
    assert LocalJobs("abcd", 4).slots == LocalJobs((), 0).slots == 1
    assert LocalJobs((), 0).environment(0) == {}
    threads = LocalJobs((), 0, jobs=2).environment(1)
    assert int(threads["OMP_NUM_THREADS"]) == max(1, len(os.sched_getaffinity(0)) // 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    assert LocalJobs((), 0, jobs=2).environment(1) == {}
    assert local_jobs({"trainer": {"accelerator": "cpu", "devices": 2}}, None).slots == 1


def test_a_cluster_needs_submitit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(ValueError, match="install glotmix with the extra cluster"):
        ClusterJobs({}, tmp_path)


def test_a_job_tells_the_status_of_its_command(tmp_path: Path) -> None:
    words = [sys.executable, "-c", "import sys; print('here'); sys.exit(3)"]
    assert execute(words, str(tmp_path / "log")) == 3
    assert last_line(tmp_path / "log") == "here"


@pytest.mark.slow
def test_jobs_of_a_cluster(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed (extra cluster)")
    launcher = ClusterJobs({"cluster": "local", "timeout_min": 1}, tmp_path / "jobs")
    works = [
        work("good", "print('one')", tmp_path),
        work("bad", "import sys; sys.exit(2)", tmp_path),
    ]
    codes = {done.work.name: done.code for done in run_all(works, launcher)}
    assert codes == {"good": 0, "bad": 2}
    assert last_line(works[0].log) == "one"
    with pytest.raises(ValueError, match="submitit cannot be used as configured"):
        ClusterJobs({"cluster": "local", "no_such_thing": 1}, tmp_path / "jobs")


@pytest.mark.slow
def test_jobs_are_taken_off_the_cluster(tmp_path: Path) -> None:
    pytest.importorskip("submitit", reason="submitit is not installed (extra cluster)")
    launcher = ClusterJobs({"cluster": "local", "timeout_min": 1}, tmp_path / "jobs")
    script = f"import os, time; open({str(tmp_path / 'pid')!r}, 'w').write(str(os.getpid()))"
    words = [sys.executable, "-c", f"{script}; time.sleep(60)"]
    job = launcher.start(words, tmp_path / "log", 0)
    process = int(wait_for(tmp_path / "pid"))
    job.stop()
    deadline = time.monotonic() + 10
    while alive(process) or job.code() is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert job.code() == 1
