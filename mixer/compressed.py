"""Plain and compressed files as bounded chunks of bytes: none can fill the memory, however made."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, NamedTuple

import zstandard

CHUNK = 1 << 20
# A block of zstd is at least 4 bytes and at most 128 KiB when decompressed, so that one call with
# this many bytes gives at most 32 MiB; `decompressobj` has no other bound.
ZSTD_FEED = 1 << 10
ZSTD_WINDOW = 1 << 27
GZIP_FEED = 1 << 16
TRUNCATED, CORRUPT, BOMB = LOSSES = ("truncated", "corrupt", "decompression bomb")
BOMB_RATIO = 1000
BOMB_SIZE = 64 << 20
MAGIC = {".zst": (b"\x28\xb5\x2f\xfd",), ".gz": (b"\x1f\x8b",)}
SKIPPABLE_ZSTD = tuple(bytes([first, 0x2A, 0x4D, 0x18]) for first in range(0x50, 0x60))


class Chunk(NamedTuple):
    """Some bytes of a file's content.

    Attributes:
        position: About where in the file on disk the bytes came from; it never decreases.
        data: The bytes, decompressed, at most 1 MiB.
    """

    position: int
    data: bytes


class Damage(Exception):
    """The rest of a file is lost.

    Attributes:
        reason: One of ``LOSSES``.
        detail: What is wrong with this one.
        position: Where in the file on disk.
        line: Line of the content that could not be finished, from 1; set by who counts lines.
    """

    def __init__(self, reason: str, detail: str, position: int) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.position = position
        self.line = 1


def read_chunks(path: Path) -> Iterator[Chunk]:
    """Read a file's content; ``.zst`` and ``.gz`` are decompressed, all frames and members.

    Args:
        path: The file.

    Yields:
        The content in order.

    Raises:
        ValueError: The content is not what the name says, or needs too much memory.
        Damage: The file is cut, corrupt or a decompression bomb; what came before is whole.
    """
    decode = DECODERS.get(path.suffix, _plain)
    with path.open("rb", buffering=CHUNK) as file:
        _check_magic(path, file.read(4))
        file.seek(0)
        produced = 0
        try:
            for chunk in decode(file):
                produced += len(chunk.data)
                yield chunk
                if produced > BOMB_SIZE and produced > BOMB_RATIO * file.tell():
                    raise Damage(
                        BOMB,
                        f"over {BOMB_RATIO} times its size when decompressed",
                        chunk.position,
                    )
        except zstandard.ZstdError as error:
            # Corrupt data is reported as Damage by the decoder; this is a frame it must refuse.
            raise ValueError(
                f"{path} needs a window of more than {ZSTD_WINDOW >> 20} MiB to decompress; "
                "compress it again with --long=27 or less"
            ) from error


def _check_magic(path: Path, head: bytes) -> None:
    for suffix, magics in MAGIC.items():
        if path.suffix == suffix:
            known = magics + (SKIPPABLE_ZSTD if suffix == ".zst" else ())
            if not any(magic.startswith(head[: len(magic)]) for magic in known):
                raise ValueError(
                    f"{path} is not compressed as its name says (it begins with {head!r}); "
                    "give it the name of what it is"
                )
        elif path.suffix not in MAGIC and head.startswith(magics):
            raise ValueError(f"{path} is compressed; name it {path.name}{suffix}")


def _feeds(file: IO[bytes], size: int) -> Iterator[tuple[int, bytes]]:
    position = 0
    while data := file.read(size):
        yield position, data
        position += len(data)


def _plain(file: IO[bytes]) -> Iterator[Chunk]:
    for position, data in _feeds(file, CHUNK):
        yield Chunk(position, data)


def _zstd(file: IO[bytes]) -> Iterator[Chunk]:
    decompressor = zstandard.ZstdDecompressor(max_window_size=ZSTD_WINDOW)
    frame = decompressor.decompressobj()
    position = 0
    for position, data in _feeds(file, ZSTD_FEED):
        while data:
            if frame.eof:
                frame = decompressor.decompressobj()
            try:
                content = frame.decompress(data)
            except zstandard.ZstdError as error:
                if "too much memory" in str(error):
                    raise
                raise Damage(CORRUPT, str(error), position) from error
            for at in range(0, len(content), CHUNK):
                yield Chunk(position, content[at : at + CHUNK])
            data = frame.unused_data if frame.eof else b""
    if not frame.eof:
        raise Damage(TRUNCATED, "the last zstd frame is cut", position)


def _gzip(file: IO[bytes]) -> Iterator[Chunk]:
    member = zlib.decompressobj(wbits=31)
    position = 0
    for position, data in _feeds(file, GZIP_FEED):
        pending = False
        while data or pending:
            if member.eof:
                # Zeros between members are padding, as gzip itself has it.
                if not (data := data.lstrip(b"\0")):
                    break
                member = zlib.decompressobj(wbits=31)
            try:
                content = member.decompress(data, CHUNK)
            except zlib.error as error:
                raise Damage(CORRUPT, str(error), position) from error
            if content:
                yield Chunk(position, content)
            data = member.unused_data if member.eof else member.unconsumed_tail
            pending = len(content) == CHUNK and not member.eof
    if not member.eof:
        raise Damage(TRUNCATED, "the last gzip member is cut", position)


DECODERS: dict[str, Callable[[IO[bytes]], Iterator[Chunk]]] = {".zst": _zstd, ".gz": _gzip}
