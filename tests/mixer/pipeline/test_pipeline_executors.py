import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from texts import tree, words, write_texts

pytest.importorskip("datatrove", reason="the extra `prepare` is not installed")

from pipelines import configured, run

from mixer.prepare import prepare

ROOT = Path(__file__).parents[3]
SLURM = "datatrove.executor.SlurmPipelineExecutor"
LOCAL = "datatrove.executor.LocalPipelineExecutor"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    texts = {f"d{n}/train.jsonl": [words(n * 100 + i, 300) for i in range(40)] for n in range(3)}
    return write_texts(tmp_path / "text", texts)


def local(workers: int) -> dict[str, Any]:
    return {"class_path": LOCAL, "init_args": {"workers": workers}}


@pytest.mark.slow
def test_several_processes_write_the_same(tmp_path: Path, source: Path) -> None:
    prepare(source, tmp_path / "small", workers=1)
    run(tmp_path, source, tmp_path / "out", tasks=2, executor=local(2))
    assert tree(tmp_path / "out") == tree(tmp_path / "small")


@pytest.mark.slow
def test_a_killed_process_is_gone_on_from(tmp_path: Path, source: Path) -> None:
    config, out = configured(tmp_path, source, executor=local(1)), tmp_path / "out"
    command = [sys.executable, "-m", "trainer.cli", "prepare", f"--pipeline={config}"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(
        [*command, "--out", str(out)], cwd=ROOT, start_new_session=True, **quiet
    )
    end = time.monotonic() + 200
    while not list(out.rglob("tokenise/completions/00001")):
        assert process.poll() is None
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.002)
    process.kill()
    process.wait()
    assert not (out / "mixture.json").exists()
    done = {path: path.stat().st_mtime_ns for path in out.rglob("tokenise/completions/*")}
    again = subprocess.run([*command, "--out", str(out)], cwd=ROOT, **quiet)
    # datatrove leaves a process behind when it is killed.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    assert not again.returncode
    assert len(done) >= 2
    prepare(source, tmp_path / "small", workers=1)
    assert tree(out) == tree(tmp_path / "small")


def test_jobs_are_queued_in_order(
    tmp_path: Path,
    source: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    calls = tmp_path / "calls"
    sbatch = tmp_path / "bin/sbatch"
    sbatch.parent.mkdir()
    sbatch.write_text(f'#!/bin/sh\necho "$*" >> {calls}\necho Submitted $(grep -c . {calls})\n')
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", f"{sbatch.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv("SLURM_ARRAY_TASK_ID", raising=False)
    slurm = {"class_path": SLURM, "init_args": {"time": "1:00:00", "partition": "cpu"}}
    run(tmp_path, source, tmp_path / "out", executor=slurm)
    assert "the jobs are queued" in capsys.readouterr().out
    stages = tmp_path / "out/.prepare/pipeline/stages"
    scripts = {path.parent.name: path.read_text() for path in stages.glob("*/launch_script.slurm")}
    assert set(scripts) == {"tokenise", "join", "manifest"}
    assert "--job-name=glotmix-join" in scripts["join"]
    assert "--array=0-2" in scripts["tokenise"]
    submitted = [line for line in calls.read_text().splitlines() if "RUN_OFFSET" in line]
    # Every other job adds up the figures of the one before it.
    assert ["afterok:" in line for line in submitted] == [False, True, True]
    assert "afterok:1" in submitted[1]
