"""Small training runs, in this process and in others."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any
from unittest import mock

import yaml
from warm_processes import WarmProcess

from trainer import fit

HERE = Path(__file__).parent


def configuration(corpus: Path, run_dir: Path, **changes: Any) -> dict[str, Any]:
    """A run of seconds; ``changes`` are dotted keys with double underscores for the dots."""
    config: dict[str, Any] = {
        "seed_everything": 0,
        "run_dir": str(run_dir),
        "policy": {"class_path": "policies.UCB"},
        "data": {
            "corpus": str(corpus),
            "sequence_length": 32,
            "batch_size": 8,
            "validation_sequences": 8,
        },
        "model": {
            "config": {
                "hidden_size": 32,
                "intermediate_size": 64,
                "num_hidden_layers": 1,
                "num_attention_heads": 2,
                "num_key_value_heads": 2,
            },
            "warmup_steps": 5,
        },
        "trainer": {
            "accelerator": "cpu",
            "devices": 1,
            "max_steps": 20,
            "val_check_interval": 10,
            "enable_progress_bar": False,
            "enable_model_summary": False,
        },
        "checkpoint": {"every_n_train_steps": 5},
    }
    for dotted, value in changes.items():
        *path, last = dotted.split("__")
        place = config
        for key in path:
            place = place.setdefault(key, {})
        place[last] = value
    return config


def write(config: Mapping[str, Any], folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "run.yaml"
    path.write_text(yaml.safe_dump(dict(config)))
    return path


def run_here(config: Mapping[str, Any], *words: str, command: str = "fit") -> Path:
    """Run in this process; returns the run's folder."""
    run_dir = Path(config["run_dir"])
    path = write(config, run_dir.with_name(run_dir.name + "-config"))
    with mock.patch.object(sys, "argv", ["glotmix", command, "--config", str(path), *words]):
        fit.run()
    return run_dir


def start(
    config: Mapping[str, Any],
    *words: str,
    process: type[subprocess.Popen[bytes]] | type[WarmProcess] = subprocess.Popen,
) -> subprocess.Popen[bytes] | WarmProcess:
    """Start ``glotmix fit`` in a process group of its own."""
    run_dir = Path(config["run_dir"])
    path = write(config, run_dir.with_name(run_dir.name + "-config"))
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(HERE)}
    return process(
        [sys.executable, "-m", "trainer.cli", "fit", "--config", str(path), *words],
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def start_ranks(config: Mapping[str, Any], *words: str, num_ranks: int = 2) -> list[WarmProcess]:
    """Start the ranks of a ``glotmix fit`` on this machine, as torchrun does."""
    run_dir = Path(config["run_dir"])
    path = write(config, run_dir.with_name(run_dir.name + "-config"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(HERE),
        "TORCHELASTIC_RUN_ID": run_dir.name,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(num_ranks),
        "LOCAL_WORLD_SIZE": str(num_ranks),
        "GROUP_RANK": "0",
    }
    return [
        WarmProcess(
            [sys.executable, "-m", "trainer.cli", "fit", "--config", str(path), *words],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            start_new_session=True,
            stderr=subprocess.STDOUT,
        )
        for rank in range(num_ranks)
    ]


def finish(process: subprocess.Popen[bytes] | WarmProcess) -> str:
    """Wait for a run that must succeed; returns what it printed."""
    output, _ = process.communicate(timeout=240)
    text = output.decode()
    assert process.returncode == 0, text
    return text


def kill_when(process: subprocess.Popen[bytes] | WarmProcess, record: Path, steps: int) -> None:
    """SIGKILL a run and all its ranks once its record holds this many lines."""
    deadline = time.monotonic() + 240
    while not record.exists() or record.read_text().count("\n") < steps:
        assert process.poll() is None, process.communicate()[0].decode()
        assert time.monotonic() < deadline
        time.sleep(0.01)
    kill(process)


def kill(process: subprocess.Popen[bytes] | WarmProcess) -> None:
    """SIGKILL a process and all that it started, if it is still there."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def read_record(folder: Path, rank: int = 0) -> dict[int, dict[str, Any]]:
    """What the recorder wrote of each batch; where a batch was run twice, the last time counts."""
    lines = (folder / f"rank{rank}.jsonl").read_text().splitlines()
    entries = [json.loads(line) for line in lines]
    return {entry["batch"]: entry for entry in entries}
