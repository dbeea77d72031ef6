"""Text files written as they are read: JSON lines or paragraphs, compressed as their name says."""

from __future__ import annotations

import gzip
from pathlib import Path
from types import TracebackType
from typing import IO

import zstandard

from mixer.indexed import partial_path

ZSTD_LEVEL = 6


class TextWriter:
    """One file of documents, as a context manager; it has its name only once it is whole.

    Args:
        path: The file, named as ``mixer.documents.SUFFIXES`` has it.

    Attributes:
        documents: How many were written.
    """

    def __init__(self, path: Path) -> None:
        self.documents = 0
        self._path = path
        self._partial = partial_path(path)
        self._end = b"\n" if ".jsonl" in path.suffixes else b"\n\n"

    def add(self, data: bytes) -> None:
        """Write a document: one line of JSON, or a paragraph without blank lines."""
        self._packed.write(data + self._end)
        self.documents += 1

    def drop_if_empty(self) -> None:
        """Remove the file, once written, if it holds nothing."""
        if not self.documents:
            self._path.unlink()

    def __enter__(self) -> TextWriter:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._file = self._partial.open("wb")
        self._packed = _packed(self._file, self._path.suffix)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with self._file:
                if self._packed is not self._file:
                    self._packed.close()
            if kind is None:
                self._partial.replace(self._path)
        finally:
            self._partial.unlink(missing_ok=True)


def _packed(file: IO[bytes], suffix: str) -> IO[bytes]:
    if suffix == ".zst":
        compressor = zstandard.ZstdCompressor(level=ZSTD_LEVEL, write_checksum=True)
        return compressor.stream_writer(file, closefd=False)
    if suffix == ".gz":
        # Without a name and a time the same text gives the same file.
        return gzip.GzipFile("", "wb", fileobj=file, mtime=0)  # type: ignore[return-value]
    return file
