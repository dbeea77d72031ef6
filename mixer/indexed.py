"""Token shards in the Megatron indexed format, read and written.

``PREFIX.bin`` is the bare sequence of token ids, ``PREFIX.idx`` says where each document lies in
it: a magic string, a version, the code of the integer type, the number of sequences and of document
bounds, then sequence lengths (int32), byte offsets (int64) and document bounds (int64).
Megatron-LM, GPT-NeoX, NeMo and datatrove write and read the same two files.
"""

from __future__ import annotations

import hashlib
import os
import struct
from array import array
from collections.abc import Iterator
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
INDEX_BLOCK = 1 << 20
PARTIAL_FILES = "*.[0-9]*.partial"


def smallest_type(vocab_size: int) -> np.dtype[Any]:
    """The integer type Megatron-LM and datatrove choose for a vocabulary: uint16 if it fits."""
    return np.dtype("<u2") if vocab_size <= 2**16 else np.dtype("<i4")


def new_digest() -> hashlib.blake2b:
    """The hash of the checksums in ``mixture.json``."""
    return hashlib.blake2b(digest_size=20)


def checksum_text(digest: hashlib.blake2b) -> str:
    return f"blake2b:{digest.hexdigest()}"


def partial_path(path: Path) -> Path:
    """Where a file is written before it is renamed, one of ``PARTIAL_FILES``.

    No two processes share it.
    """
    return path.with_name(f"{path.name}.{os.getpid()}.partial")


def bin_path(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".bin")


def idx_path(prefix: Path) -> Path:
    return prefix.with_name(prefix.name + ".idx")


class ShardWriter:
    """Writes one shard; nothing carries its final name before ``close``.

    Documents go to ``PREFIX.bin.PROCESS.partial``; ``close`` writes the index and renames both
    files, the index last, so that a shard with an index is whole. Use it as a context manager: an
    exception inside removes what was written.

    Attributes:
        prefix: Path of the two files without ``.bin`` and ``.idx``.
        num_tokens: Tokens added so far.
        largest_token: The largest id added so far, None before the first.
    """

    def __init__(self, prefix: Path, *, dtype: np.dtype[Any]) -> None:
        self.prefix = prefix
        self.num_tokens = 0
        self.largest_token: int | None = None
        self._dtype = dtype
        self._largest_id = int(np.iinfo(dtype).max)
        self._lengths = array("i")
        self._digest = new_digest()
        prefix.parent.mkdir(parents=True, exist_ok=True)
        self._partial = partial_path(bin_path(prefix))
        self._file: IO[bytes] = self._partial.open("wb", buffering=1 << 20)

    @property
    def num_documents(self) -> int:
        return len(self._lengths)

    @property
    def checksum(self) -> str:
        """Digest of the tokens added so far, which after ``close`` is that of the data file."""
        return checksum_text(self._digest)

    def add_document(self, tokens: NDArray[Any]) -> None:
        """Append one document, end-of-document token included, as a 1-d integer array.

        Raises:
            ValueError: The document is empty or too long, or an id does not fit the shard's type.
        """
        if not 0 < len(tokens) <= LARGEST_DOCUMENT:
            raise ValueError(
                f"a document holds 1 to {LARGEST_DOCUMENT} tokens, got {len(tokens)}; split it"
            )
        smallest, largest = int(tokens.min()), int(tokens.max())
        if smallest < 0 or largest > self._largest_id:
            raise ValueError(
                f"token ids of this shard must be 0 to {self._largest_id}, got {smallest} to "
                f"{largest}; choose the type by the vocabulary (smallest_type)"
            )
        self._append(tokens.astype(self._dtype).tobytes(), largest)
        self._lengths.append(len(tokens))

    def add_shard(self, shard: TokenShard) -> None:
        """Append all documents of another shard of the same integer type."""
        if shard.tokens.dtype != self._dtype:
            raise ValueError(
                f"token shard {shard.prefix} holds {shard.tokens.dtype} tokens, this one "
                f"{self._dtype}; only shards of one type can be joined"
            )
        for tokens in shard.blocks():
            self._append(tokens.tobytes(), int(tokens.max()))
        lengths = np.diff(shard.document_bounds())
        self._lengths.frombytes(lengths.astype(np.intc).tobytes())

    def _append(self, data: bytes, largest: int) -> None:
        self._file.write(data)
        self._digest.update(data)
        self.num_tokens += len(data) // self._dtype.itemsize
        self.largest_token = max(largest, self.largest_token or 0)

    def close(self) -> None:
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        index = idx_path(self.prefix)
        partial_index = partial_path(index)
        with partial_index.open("wb", buffering=1 << 20) as file:
            write_index(file, np.frombuffer(self._lengths, dtype=np.intc), self._dtype)
            file.flush()
            os.fsync(file.fileno())
        # An older index must never stand beside newer tokens.
        index.unlink(missing_ok=True)
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


def move_shard(source: Path, target: Path) -> None:
    """Rename a shard, the index last, within one file system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    idx_path(target).unlink(missing_ok=True)
    bin_path(source).replace(bin_path(target))
    idx_path(source).replace(idx_path(target))


def write_index(file: IO[bytes], lengths: NDArray[Any], dtype: np.dtype[Any]) -> None:
    """Write an ``.idx`` file for documents of these lengths in tokens, one sequence each.

    A corpus may have a billion documents: the three tables are written block by block.
    """
    code = next(code for code, known in INTEGER_TYPES.items() if known == dtype)
    count = len(lengths)
    file.write(HEADER.pack(MAGIC, VERSION, code, count, count + 1))
    blocks = [lengths[at : at + INDEX_BLOCK] for at in range(0, count, INDEX_BLOCK)]
    for block in blocks:
        file.write(block.astype("<i4").tobytes())
    end = 0
    for block in blocks:
        ends = end + np.cumsum(block, dtype="<i8") * dtype.itemsize
        file.write(np.concatenate([[end], ends[:-1]]).astype("<i8").tobytes())
        end = int(ends[-1])
    for at in range(0, count + 1, INDEX_BLOCK):
        file.write(np.arange(at, min(at + INDEX_BLOCK, count + 1), dtype="<i8").tobytes())


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

    def blocks(self, size: int = 1 << 20) -> Iterator[NDArray[Any]]:
        """All tokens in order, at most ``size`` at a time, read and not mapped.

        A mapped page stays in memory while there is room; a whole corpus read this way does not.
        """
        with bin_path(self.prefix).open("rb") as file:
            while len(tokens := np.fromfile(file, self.tokens.dtype, size)):
                yield tokens

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
