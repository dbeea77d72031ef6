"""Scores of documents, in files beside the shard they belong to.

``PREFIX.NAME.scores.npy`` holds one number per document of the shard ``PREFIX``, in its order, as
float32; NaN where a document has none. Nothing is taken out of a shard for its scores.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike, NDArray

from mixer.indexed import TokenShard, partial_path

SCORE_NAME = re.compile(r"[a-z][a-z0-9_]*")


def scores_path(prefix: Path, name: str) -> Path:
    """Where the scores of a shard lie.

    Raises:
        ValueError: The name is none.
    """
    if not SCORE_NAME.fullmatch(name):
        raise ValueError(
            "a score's name must be lower-case letters, digits and _, beginning with a letter, "
            f"got {name!r}"
        )
    return prefix.with_name(f"{prefix.name}.{name}.scores.npy")


def write_scores(shard: TokenShard, name: str, scores: ArrayLike) -> Path:
    """Write the scores of a shard's documents, replacing earlier ones of the same name.

    Args:
        shard: The shard.
        name: Name of the score, such as ``quality`` or ``cluster_size``.
        scores: One number per document, shape (num_documents,); NaN for none.

    Raises:
        ValueError: There are more or fewer numbers than documents, or one is infinite.
    """
    values = np.asarray(scores, dtype=np.float32)
    path = scores_path(shard.prefix, name)
    _check(values, shard, path)
    partial = partial_path(path)
    with partial.open("wb") as file:
        np.save(file, values, allow_pickle=False)
    partial.replace(path)
    return path


def read_scores(shard: TokenShard, name: str) -> NDArray[np.float64]:
    """The scores of a shard's documents, shape (num_documents,).

    Raises:
        ValueError: There are none, or they are not of this shard.
    """
    path = scores_path(shard.prefix, name)
    if not path.is_file():
        known = sorted(
            found.name.removeprefix(f"{shard.prefix.name}.").removesuffix(".scores.npy")
            for found in shard.prefix.parent.glob(f"{shard.prefix.name}.*.scores.npy")
        )
        raise ValueError(
            f"{shard.prefix} has no scores {name!r}; it has {', '.join(known) or 'none'}. Write "
            "them with mixer.sampling.write_scores"
        )
    try:
        # Mapped, so that what a damaged header promises is not allocated.
        mapped = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise ValueError(f"{path} holds no array of numbers: {error}") from error
    if mapped.dtype != np.float32:
        raise ValueError(f"{path} must hold float32 numbers, got {mapped.dtype}")
    _check(mapped, shard, path)
    return np.asarray(mapped, dtype=np.float64)


def _check(values: NDArray[np.float32], shard: TokenShard, path: Path) -> None:
    if values.shape != (shard.num_documents,):
        raise ValueError(
            f"{path.name} must hold a number for each of {shard.num_documents} documents, got "
            f"shape {values.shape}; score the shard again"
        )
    if np.isinf(values).any():
        raise ValueError(f"{path.name} must hold finite numbers, or NaN for none")
