"""Token shards in the Megatron indexed format, read and written.

``PREFIX.bin`` is the bare sequence of token ids, ``PREFIX.idx`` says where each document lies in
it: a magic string, a version, the code of the integer type, the number of sequences and of document
bounds, then sequence lengths (int32), byte offsets (int64) and document bounds (int64).
Megatron-LM, GPT-NeoX, NeMo and datatrove write and read the same two files.
"""

from __future__ import annotations

import os
import struct
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

MAGIC = b"MMIDIDX\x00\x00"
VERSION = 1
HEADER = struct.Struct("<9sQBQQ")
INTEGER_TYPES: dict[int, np.dtype[Any]] = {
    1: np.dtype("<u1"),
    2: np.dtype("<i1"),
    3: np.dtype("<i2"),
    4: np.dtype("<i4"),
    5: np.dtype("<i8"),
    8: np.dtype("<u2"),
}
LARGEST_DOCUMENT = np.iinfo(np.int32).max


def smallest_type(vocab_size: int) -> np.dtype[Any]:
    """The integer type Megatron-LM and datatrove choose for a vocabulary: uint16 if it fits."""
    return np.dtype("<u2") if vocab_size <= 2**16 else np.dtype("<i4")


def bin_path(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".bin")


def idx_path(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".idx")


class ShardWriter:
    """Writes one shard; nothing carries its final name before ``close``.

    Documents go to ``PREFIX.bin.partial``; ``close`` writes the index and renames both files, the
    index last, so that a shard with an index is whole. Use it as a context manager: an exception
    inside removes what was written.
    """

    def __init__(self, prefix: Path, *, dtype: np.dtype[Any]) -> None:
        self.prefix = prefix
        self._dtype = dtype
        self._lengths: list[int] = []
        self._partial = bin_path(prefix).with_suffix(".bin.partial")
        prefix.parent.mkdir(parents=True, exist_ok=True)
        self._file: IO[bytes] = self._partial.open("wb")

    @property
    def num_documents(self) -> int:
        return len(self._lengths)

    @property
    def num_tokens(self) -> int:
        return sum(self._lengths)

    def add_document(self, tokens: NDArray[Any]) -> None:
        """Append one document, end-of-document token included, as a 1-d integer array."""
        if not 0 < len(tokens) <= LARGEST_DOCUMENT:
            raise ValueError(
                f"a document holds 1 to {LARGEST_DOCUMENT} tokens, got {len(tokens)}; split it"
            )
        self._file.write(tokens.astype(self._dtype).tobytes())
        self._lengths.append(len(tokens))

    def close(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        index = idx_path(self.prefix)
        partial_index = index.with_suffix(".idx.partial")
        with partial_index.open("wb") as file:
            file.write(index_bytes(np.asarray(self._lengths, dtype="<i4"), self._dtype))
            file.flush()
            os.fsync(file.fileno())
        self._partial.replace(bin_path(self.prefix))
        partial_index.replace(index)

    def abandon(self) -> None:
        self._file.close()
        self._partial.unlink(missing_ok=True)

    def __enter__(self) -> ShardWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.abandon()


def index_bytes(lengths: NDArray[np.int32], dtype: np.dtype[Any]) -> bytes:
    """The content of an ``.idx`` file for documents of these lengths, one sequence each."""
    code = next(code for code, known in INTEGER_TYPES.items() if known == dtype)
    count = len(lengths)
    offsets = np.zeros(count, dtype="<i8")
    np.cumsum(lengths[:-1].astype("<i8") * dtype.itemsize, out=offsets[1:])
    bounds = np.arange(count + 1, dtype="<i8")
    header = HEADER.pack(MAGIC, VERSION, code, count, count + 1)
    return header + lengths.tobytes() + offsets.tobytes() + bounds.tobytes()


@dataclass(frozen=True)
class TokenShard:
    """A shard opened for reading; its tokens stay on disk until they are touched.

    Attributes:
        prefix: Path of the two files without ``.bin`` and ``.idx``.
        tokens: All token ids, shape (num_tokens,), mapped read-only.
        num_sequences: Entries of the index. Megatron may split a document into several sequences.
        num_documents: Documents in the shard.
    """

    prefix: Path
    tokens: NDArray[Any] = field(repr=False)
    num_sequences: int
    num_documents: int

    @classmethod
    def open(cls, prefix: Path) -> TokenShard:
        """Open ``PREFIX.bin`` and ``PREFIX.idx``.

        Reads the header and compares both files' sizes with it, nothing else, so that thousands of
        shards open in a second.

        Raises:
            ValueError: The files are missing, are no Megatron index, hold no integers, or disagree.
        """
        index, data = idx_path(prefix), bin_path(prefix)
        for path in (index, data):
            if not path.is_file():
                raise ValueError(f"token shard {prefix}: {path.name} is missing")
        with index.open("rb") as file:
            header = file.read(HEADER.size)
        if len(header) < HEADER.size or not header.startswith(MAGIC):
            raise ValueError(f"{index} is not a Megatron index (it must begin with {MAGIC!r})")
        _, version, code, num_sequences, num_bounds = HEADER.unpack(header)
        if version != VERSION:
            raise ValueError(f"{index}: index version must be {VERSION}, got {version}")
        if code not in INTEGER_TYPES:
            raise ValueError(f"{index}: type code must be one of {list(INTEGER_TYPES)}, got {code}")
        # Multimodal shards append one byte per sequence; text needs only what comes before it.
        expected = HEADER.size + 12 * num_sequences + 8 * num_bounds
        if index.stat().st_size not in (expected, expected + num_sequences):
            raise ValueError(
                f"{index} is cut short or overlong: {index.stat().st_size} bytes instead of "
                f"{expected}; write the shard again"
            )
        dtype = INTEGER_TYPES[code]
        size = data.stat().st_size
        if size % dtype.itemsize:
            raise ValueError(
                f"{data}: {size} bytes are no whole number of {dtype.itemsize}-byte tokens; "
                "write the shard again"
            )
        tokens = (
            np.asarray(np.memmap(data, dtype=dtype, mode="r")) if size else np.empty(0, dtype=dtype)
        )
        return cls(prefix, tokens, num_sequences, max(num_bounds - 1, 0))

    def document_bounds(self) -> NDArray[np.int64]:
        """Where documents begin and end, in tokens: shape (num_documents + 1,), from 0.

        Raises:
            ValueError: The lengths in the index do not add up to the tokens in the data file.
        """
        with idx_path(self.prefix).open("rb") as file:
            file.seek(HEADER.size)
            lengths = np.fromfile(file, "<i4", self.num_sequences)
            file.seek(8 * self.num_sequences, os.SEEK_CUR)
            sequence_bounds = np.fromfile(file, "<i8", self.num_documents + 1)
        ends = np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)])
        if ends[-1] != len(self.tokens):
            raise ValueError(
                f"token shard {self.prefix}: the index counts {ends[-1]} tokens, the data file "
                f"holds {len(self.tokens)}; write the shard again"
            )
        bounds: NDArray[np.int64] = ends[sequence_bounds]
        return bounds
