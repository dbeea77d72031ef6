"""How a run stands: its latest numbers, and whether it is through, under way or stopped."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from trainer.summary import FILE_NAME, LIVE_NAME, read_document


def standing(folder: Path) -> dict[str, Any]:
    """The latest summary of a run, whatever has become of it, with its ``state`` in words.

    Raises:
        ValueError: The folder holds no run, or none that has trained a step.
    """
    # In this order: a run that is through has written its summary before it drops the other file.
    live, last = _read(folder / LIVE_NAME), _read(folder / FILE_NAME)
    if live is None and last is None:
        raise ValueError(
            f"{folder} holds neither {LIVE_NAME} nor {FILE_NAME}; a run has them from its first "
            "step on"
        )
    written, document = max(filter(None, (live, last)), key=lambda found: found[0])
    if document["finished"]:
        return document | {"state": "finished"}
    if live is None:
        return document | {"state": "unfinished"}
    age = _age(time.time() - written)
    return document | {"state": f"{_state(live[1]['process'])}, wrote {age} ago"}


def _read(path: Path) -> tuple[float, dict[str, Any]] | None:
    """When a document was written, and what it says; None if there is none."""
    try:
        return path.stat().st_mtime, read_document(path)
    except FileNotFoundError:
        return None


def _state(process: Mapping[str, Any]) -> str:
    """What can be told of a process that did not finish its run."""
    if process["host"] != platform.node():
        # Its processes cannot be seen from here: how old its last word is must do.
        return f"on {process['host']}"
    try:
        os.kill(process["pid"], 0)  # Sends nothing.
    except ProcessLookupError:
        return "stopped"
    except PermissionError:  # Somebody else's, but there.
        pass
    return "running"


def _age(seconds: float) -> str:
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{max(0.0, seconds):.0f} s"
