"""A fastText ``.bin`` or ``.ftz`` walked through from end to end before the library reads it.

fastText trusts its files: of one that is cut short it reads for ever, until memory is full, and of
one whose sizes do not fit together it reads what is not its own. So every size is checked here
first. The layout is that of fastText 0.9 (``Args::load``, ``Dictionary::load``,
``DenseMatrix::load``, ``QuantMatrix::load``), little-endian.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import NamedTuple

MAGIC = 793712314
VERSIONS = (11, 12)
SUPERVISED = 3
PREFIX = "__label__"
CENTROIDS = 256
FLOAT_BYTES = 4


class Header(NamedTuple):
    """What a model file says of itself, in the order of the file, after magic and version."""

    dim: int
    ws: int
    epoch: int
    min_count: int
    neg: int
    word_ngrams: int
    loss: int
    model: int
    bucket: int
    minn: int
    maxn: int
    lr_update_rate: int
    t: float


class Misfit(Exception):
    """The file ends too soon, or its sizes contradict each other."""


def read_labels(path: Path) -> tuple[str, ...]:
    """Check a model file and read the labels it answers with.

    Args:
        path: A supervised fastText model, quantised or not.

    Returns:
        The labels without ``__label__``, in the order of the model.

    Raises:
        ValueError: The file is no such model, or not all of one.
    """
    if not path.is_file():
        raise ValueError(f"model must be a fastText .bin or .ftz file, there is none at {path}")
    with path.open("rb") as file:
        head = file.read(8)
        if len(head) < 8 or struct.unpack("<i", head[:4]) != (MAGIC,):
            raise ValueError(
                f"{path} is no fastText model (it begins with {head[:4]!r}); give a .bin or .ftz"
            )
        (version,) = struct.unpack("<i", head[4:])
        if version not in VERSIONS:
            raise ValueError(
                f"{path} has version {version} of fastText's format, versions that are read are "
                f"{' and '.join(map(str, VERSIONS))}; save the model with another fastText"
            )
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            try:
                return _labels(path, _Walk(data, 8))
            except Misfit as misfit:
                raise ValueError(
                    f"{path} is cut short or damaged ({misfit}); fetch or train it again"
                ) from misfit


class _Walk:
    """A position in a file that never goes past its end."""

    def __init__(self, data: mmap.mmap, position: int) -> None:
        self.data = data
        self.position = position

    def take(self, layout: str) -> tuple[int, ...]:
        begin = self.position
        self.skip(struct.calcsize(f"<{layout}"))
        return struct.unpack_from(f"<{layout}", self.data, begin)

    def skip(self, size: int) -> None:
        if size < 0 or self.position + size > len(self.data):
            raise Misfit(f"{size} bytes should follow byte {self.position:,} of {len(self.data):,}")
        self.position += size

    def word(self) -> bytes:
        end = self.data.find(b"\0", self.position)
        if end < 0:
            raise Misfit(f"a word at byte {self.position:,} has no end")
        word = self.data[self.position : end]
        self.position = end + 1
        return word


def _labels(path: Path, walk: _Walk) -> tuple[str, ...]:
    header = Header(*walk.take("12id"))
    if header.model != SUPERVISED:
        raise ValueError(f"{path} holds word vectors, not a classifier; give one that has labels")
    num_words, labels, pruned = _dictionary(walk)
    (quantised,) = walk.take("?")
    if not quantised and pruned >= 0:
        raise Misfit("a pruned dictionary needs a quantised matrix")
    rows = num_words + (header.bucket if pruned < 0 else pruned)
    _matrix(walk, bool(quantised), rows, header.dim)
    (quantised_output,) = walk.take("?")
    _matrix(walk, bool(quantised and quantised_output), len(labels), header.dim)
    if walk.position != len(walk.data):
        raise Misfit(f"{len(walk.data) - walk.position:,} bytes too many")
    return tuple(label.decode(errors="replace").removeprefix(PREFIX) for label in labels)


def _dictionary(walk: _Walk) -> tuple[int, list[bytes], int]:
    """Words, labels, and how many n-grams a pruned model has kept (-1: not pruned)."""
    size, num_words, num_labels, _, pruned = walk.take("3i2q")
    if min(num_words, num_labels) < 0 or size != num_words + num_labels or not num_labels:
        raise Misfit(f"{size} entries cannot be {num_words} words and {num_labels} labels")
    labels = []
    for number in range(size):
        entry = walk.word()
        _, is_label = walk.take("qb")
        if is_label != (number >= num_words):
            raise Misfit(f"entry {number} is not of its kind")
        if is_label:
            labels.append(entry)
    walk.skip(8 * max(pruned, 0))
    return num_words, labels, pruned


def _matrix(walk: _Walk, quantised: bool, rows: int, columns: int) -> None:
    (with_norms,) = walk.take("?") if quantised else (0,)
    shape = walk.take("2q")
    if shape != (rows, columns):
        raise Misfit(f"a matrix of shape {shape} should have {(rows, columns)}")
    if not quantised:
        walk.skip(FLOAT_BYTES * rows * columns)
        return
    walk.skip(*walk.take("i"))
    _quantiser(walk)
    if with_norms:
        walk.skip(rows)
        _quantiser(walk)


def _quantiser(walk: _Walk) -> None:
    dim, *_ = walk.take("4i")
    walk.skip(FLOAT_BYTES * CENTROIDS * dim)
