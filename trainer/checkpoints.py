"""The checkpoints of a run: where they lie, which is the newest, how far it got."""

from __future__ import annotations

import re
from pathlib import Path

import torch

from trainer.summary import FILE_NAME


def checkpoint_folder(run_dir: Path) -> Path:
    """Where the checkpoints of a run lie."""
    return Path(run_dir) / "checkpoints"


def refuse_used_folder(run_dir: Path) -> None:
    """Refuse to write a new run over an old one.

    Raises:
        ValueError: The folder holds a run.
    """
    if list(_checkpoint_files(run_dir)) or (run_dir / FILE_NAME).exists():
        raise ValueError(
            f"run_dir {run_dir} holds a run already; go on with it by --ckpt_path last, or name "
            "another folder"
        )


def newest_checkpoint(run_dir: Path) -> Path:
    """The checkpoint of a run with the most steps.

    Raises:
        ValueError: The run has none.
    """
    found = sorted(_checkpoint_files(run_dir))
    if not found:
        folder = checkpoint_folder(run_dir)
        raise ValueError(f"ckpt_path last: {folder} holds no checkpoint; start the run without it")
    return found[-1][1]


def _checkpoint_files(run_dir: Path) -> list[tuple[int, Path]]:
    paths = checkpoint_folder(run_dir).glob("*.ckpt")
    steps = [(re.search(r"step=(\d+)", path.name), path) for path in paths]
    return [(int(match[1]), path) for match, path in steps if match]


def steps_done(checkpoint: Path) -> int:
    """Optimiser steps behind a checkpoint.

    Raises:
        ValueError: The file is no checkpoint.
    """
    # Sharded checkpoints are folders; what is not a tensor lies in one file there.
    file = checkpoint / "meta.pt" if checkpoint.is_dir() else checkpoint
    try:
        content = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
        return int(content["global_step"])
    except Exception as error:
        raise ValueError(
            f"ckpt_path {checkpoint} is not a checkpoint of glotmix: {error}"
        ) from error
