"""Text files as documents, bad ones quarantined.

``.jsonl``: one JSON object a line, whose ``text`` is the document. ``.txt``: documents are
separated by blank lines. Either may be compressed (``.gz``, ``.zst``). UTF-8, with or without a
byte-order mark, with Unix or Windows line ends.
"""

from __future__ import annotations

import codecs
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from mixer.compressed import Damage, read_chunks
from mixer.quarantine import Quarantine

SUFFIXES = tuple(kind + packing for kind in (".jsonl", ".txt") for packing in ("", ".gz", ".zst"))
LONGEST_LINE = 16 << 20


class Document(NamedTuple):
    """One good document.

    Attributes:
        line: Where it begins in its file, from 1.
        position: Where in the file on disk, in bytes and about; it never decreases.
        text: The text, neither empty nor blank.
        num_bytes: Length of the text in UTF-8.
    """

    line: int
    position: int
    text: str
    num_bytes: int


class Record(NamedTuple):
    """The bytes of one line or paragraph, not yet understood; None if it is too long to hold."""

    line: int
    position: int
    data: bytes | None


class BadDocument(Exception):
    def __init__(self, reason: str, detail: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


def read_documents(
    path: Path, quarantine: Quarantine, start: int = 0, stop: int | None = None
) -> Iterator[Document]:
    """Read the good documents of a file, one at a time and in order.

    A file can be shared out by the positions of its documents: whatever the cuts, the documents of
    all parts together are those of the file. Each part reads the file up to its own end.

    Args:
        path: A file whose name ends in one of ``SUFFIXES``.
        quarantine: Counts the good documents and takes the bad ones.
        start: Leave out documents before this position in the file on disk.
        stop: And those from this position on.

    Yields:
        The documents.

    Raises:
        ValueError: The file is not what its name says, or too much of it is bad.
        OSError: The file cannot be read.
    """
    end = math.inf if stop is None else stop
    is_json = path.name.removesuffix(".gz").removesuffix(".zst").endswith(".jsonl")
    lines = read_lines(path)
    parse = _json_text if is_json else _plain_text
    try:
        for line, position, data in lines if is_json else _paragraphs(lines):
            if position >= end:
                return
            if position < start or (data is not None and not data.strip()):
                continue
            try:
                text = parse(data)
                num_bytes = _num_bytes(text)
            except BadDocument as bad:
                quarantine.add(line, bad.reason, bad.detail)
            else:
                quarantine.accept()
                yield Document(line, position, text, num_bytes)
    except Damage as damage:
        if start <= damage.position < end:
            quarantine.add(damage.line, damage.reason, damage.detail)


def read_lines(path: Path) -> Iterator[Record]:
    """Split a file into lines without their ends, never holding one longer than 16 MiB.

    Of empty lines in a row only the first is given, so that a file of nothing else is soon read.

    Raises:
        ValueError: The file is not what its name says.
        Damage: The rest of the file is lost; an unfinished line before it is dropped.
    """
    number, begin, size, blank = 1, 0, 0, False
    held: list[bytes] = []
    try:
        for position, chunk in read_chunks(path):
            *ended, rest = chunk.split(b"\n")
            for piece in ended:
                if blank and not piece and not size:
                    number += 1
                    continue
                if not size:
                    begin = position
                held.append(piece)
                size += len(piece)
                yield _line(number, begin, held, size)
                number, held, size, blank = number + 1, [], 0, not size
            if not size:
                begin = position
            held.append(rest)
            size += len(rest)
            if size > LONGEST_LINE:
                held.clear()
    except Damage as damage:
        damage.line = number
        raise
    if size:
        yield _line(number, begin, held, size)


def _line(number: int, position: int, pieces: list[bytes], size: int) -> Record:
    if size > LONGEST_LINE:
        return Record(number, position, None)
    data = b"".join(pieces).removesuffix(b"\r")
    return Record(number, position, data.removeprefix(codecs.BOM_UTF8) if number == 1 else data)


def _paragraphs(lines: Iterator[Record]) -> Iterator[Record]:
    first: Record | None = None
    held: list[bytes] = []
    size = 0
    for line in lines:
        if line.data is None or line.data.strip():
            first = first or line
            size += LONGEST_LINE + 1 if line.data is None else len(line.data) + 1
            held.append(line.data or b"")
            if size > LONGEST_LINE:
                held.clear()
        elif first:
            yield _paragraph(first, held, size)
            first, held, size = None, [], 0
    if first:
        yield _paragraph(first, held, size)


def _paragraph(first: Record, lines: list[bytes], size: int) -> Record:
    return first._replace(data=b"\n".join(lines) if size <= LONGEST_LINE else None)


def _json_text(data: bytes | None) -> str:
    line = _plain_text(data)
    try:
        record = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadDocument("invalid JSON", str(error)) from error
    if not isinstance(record, dict):
        raise BadDocument("no JSON object", f"a {type(record).__name__}")
    if "text" not in record:
        raise BadDocument("no text", f"its keys are {', '.join(list(record)[:10])!r:.200}")
    text = record["text"]
    if not isinstance(text, str):
        raise BadDocument("text is no string", f"a {type(text).__name__}")
    if not text.strip():
        raise BadDocument("empty text")
    if "\0" in text:
        raise BadDocument("NUL character")
    return text


def _plain_text(data: bytes | None) -> str:
    if data is None:
        raise BadDocument("too long", f"over {LONGEST_LINE} bytes")
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        raise BadDocument("invalid UTF-8", f"byte {error.start}") from error
    if "\0" in text:
        raise BadDocument("NUL character")
    return text


def _num_bytes(text: str) -> int:
    try:
        return len(text.encode())
    except UnicodeEncodeError as error:
        raise BadDocument("lone surrogate", f"character {error.start}") from error
