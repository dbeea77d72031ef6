"""A reader of JSON lines and plain text that counts what it cannot use."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from datatrove.data import Document
from datatrove.pipeline.readers.base import BaseDiskReader

from mixer.compressed import Damage
from mixer.documents import LONGEST_LINE, BadDocument, read_documents, read_lines
from mixer.pipeline.sound_text import text_fault
from mixer.quarantine import Quarantine

QUARANTINED = "quarantined: "


class TextReader(BaseDiskReader):
    """Reads ``.jsonl`` and ``.txt``, plain, ``.gz`` or ``.zst``, as the small path reads them.

    datatrove's ``JsonlReader`` leaves out lines that are no JSON without counting them, takes a
    truncated zstd file for a whole one, and holds a line of any length. This one counts every
    document that it cannot use, lists the first hundred of each kind, stops at a file of which too
    much is bad, never decompresses more than it can hold, and reports a cut file.

    Args:
        data_folder: A folder of this machine or of a file system all tasks share.
        max_bad_fraction: Largest share of bad documents of a file to put up with.
        quarantine_folder: Where to list the bad ones, one file per task; nowhere by default.
        **options: As for all of datatrove's readers of files: ``glob_pattern``, ``text_key``,
            ``id_key``, ``adapter``, ``limit`` and so on.

    Raises:
        ValueError: The folder is not local; or, on reading, a file is not what its name says or
            has too many bad documents.
    """

    name = "Text"

    def __init__(
        self,
        data_folder: str,
        *,
        max_bad_fraction: float = 0.01,
        quarantine_folder: str | None = None,
        **options: Any,
    ) -> None:
        super().__init__(data_folder, **options)
        if not self.data_folder.is_local():
            raise ValueError(
                f"data_folder must be a local folder, got {data_folder}; for URLs there is "
                "datatrove.pipeline.readers.JsonlReader"
            )
        self.max_bad_fraction = max_bad_fraction
        self.quarantine_folder = quarantine_folder
        self._quarantines: list[Quarantine] = []

    def run(
        self, data: Iterator[Document] | None = None, rank: int = 0, world_size: int = 1
    ) -> Iterator[Document]:
        """Read the task's share of the files."""
        self._quarantines = []
        try:
            yield from super().run(data, rank, world_size)
        finally:
            if self.quarantine_folder is not None:
                folder = Path(self.quarantine_folder)
                for at, quarantine in enumerate(self._quarantines):
                    quarantine.save(folder / f"{rank:05d}-{at:05d}.jsonl")

    def read_file(self, filepath: str) -> Iterator[Document]:
        """Read the good documents of one file.

        Args:
            filepath: Its path within the folder.
        """
        quarantine = Quarantine(filepath, self.max_bad_fraction)
        self._quarantines.append(quarantine)
        path = Path(self.data_folder.resolve_paths(filepath))
        is_json = path.name.removesuffix(".gz").removesuffix(".zst").endswith(".jsonl")
        try:
            if is_json:
                yield from self._read_json(path, filepath, quarantine)
            else:
                for document in read_documents(path, quarantine):
                    data = {self.text_key: document.text}
                    yield self.get_document_from_dict(data, filepath, document.line - 1)
        finally:
            for reason, count in quarantine.counts.items():
                self.stat_update(QUARANTINED + reason, value=count)
        quarantine.check()

    def _read_json(self, path: Path, filepath: str, quarantine: Quarantine) -> Iterator[Document]:
        try:
            for number, _, line in read_lines(path):
                if line is not None and not line.strip():
                    continue
                try:
                    document = self._document(line, filepath, number - 1)
                except BadDocument as bad:
                    quarantine.add(number, bad.reason, bad.detail)
                else:
                    quarantine.accept()
                    yield document
        except Damage as damage:
            quarantine.add(damage.line, damage.reason, damage.detail)

    def _document(self, line: bytes | None, filepath: str, at: int) -> Document:
        if line is None:
            raise BadDocument("too long", f"over {LONGEST_LINE} bytes")
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            raise BadDocument(_json_fault(line), str(error)) from error
        if not isinstance(record, dict):
            raise BadDocument("no JSON object", f"a {type(record).__name__}")
        keys = ", ".join(list(record)[:10])
        document = self.get_document_from_dict(record, filepath, at)
        if document is None:
            raise BadDocument("no text", f"its keys are {keys!r:.200}")
        if reason := text_fault(document.text):
            raise BadDocument(reason)
        return document


def _json_fault(line: bytes) -> str:
    try:
        line.decode()
    except UnicodeDecodeError:
        return "invalid UTF-8"
    return "NUL character" if b"\0" in line else "invalid JSON"
