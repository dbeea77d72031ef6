"""Which machine, which versions, which commit: what a figure is worth nothing without."""

from __future__ import annotations

import datetime
import os
import platform
import shlex
import subprocess
import sys
from pathlib import Path

import numpy
import torch


def describe() -> str:
    """A Markdown list of date, machine, versions, command and commit."""
    lines = {
        "date": datetime.date.today().isoformat(),
        "machine": _machine(),
        "versions": f"Python {platform.python_version()}, torch {torch.__version__}, "
        f"numpy {numpy.__version__}",
        "command": "python " + shlex.join(sys.argv),
        "commit": _commit(),
    }
    return "".join(f"- {name}: {value}\n" for name, value in lines.items())


def _machine() -> str:
    model = platform.processor() or "unknown processor"
    information = Path("/proc/cpuinfo")
    if information.exists():
        names = [line for line in information.read_text().splitlines() if "model name" in line]
        model = names[0].split(":", 1)[1].strip() if names else model
    text = f"{model}, {os.cpu_count()} cores"
    if torch.cuda.is_available():
        text += f", {torch.cuda.get_device_name()}"
    return text


def _commit() -> str:
    def git(*words: str) -> str:
        result = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
        return result.stdout.strip()

    head = git("rev-parse", "--short=12", "HEAD") or "not in a checkout"
    # A figure's own file does not change what it was measured with.
    changed = git("status", "--porcelain", "--", ":!benchmarks/results", ":!docs")
    return head + (" with uncommitted changes" if changed else "")
