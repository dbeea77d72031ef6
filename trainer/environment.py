"""What a run ran on: versions, machine, commit."""

from __future__ import annotations

import functools
import os
import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

_PACKAGES = ("glotmix", "torch", "lightning", "transformers", "numpy", "cvxpy")


def environment(device: torch.device, num_devices: int) -> dict[str, str]:
    """Names and values, for people to read.

    Args:
        device: What this process trains on.
        num_devices: How many such the run has.
    """
    cuda = device.type == "cuda"
    return {
        "python": platform.python_version(),
        **_versions(),
        "system": platform.platform(),
        "machine": f"{platform.node()}, {os.cpu_count()} cores",
        "devices": f"{num_devices} x {torch.cuda.get_device_name(device) if cuda else device.type}",
        "commit": _commit(Path(__file__)),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # Run from its sources.
            found[name] = "not installed"
    return found


@functools.cache
def _commit(file: Path) -> str:
    """The commit that a file belongs to, as it was when this process first asked."""

    def git(*words: str) -> str | None:
        # Without the lock, which a person's own git command may want in this moment.
        surroundings = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
        command = ["git", "-C", str(file.parent), *words]
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, timeout=10, env=surroundings
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout.strip()

    # Somebody's repository may lie around an environment that glotmix is installed in.
    if not git("ls-files", file.name):
        return "not in a checkout"
    return git("describe", "--always", "--dirty", "--abbrev=12", "--exclude=*") or "unknown"
