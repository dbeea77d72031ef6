"""Documents with all that belongs to them, so that what is not changed is passed on as it is."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from mixer.documents import Document, read_documents, read_lines
from mixer.quarantine import Quarantine


class Original(NamedTuple):
    """A document as it was read.

    Attributes:
        document: The document.
        data: The bytes it was read from, to be passed on as they are: a line of JSON, or the text.
        fields: What the JSON has besides the text; None if it is no JSON.
    """

    document: Document
    data: bytes
    fields: Mapping[str, object] | None

    def with_text(self, text: str) -> bytes:
        """The document with another text, and all its fields."""
        if self.fields is None:
            return text.encode()
        record = json.loads(self.data) | {"text": text}
        return json.dumps(record, ensure_ascii=False).encode()


def read_originals(path: Path, quarantine: Quarantine) -> Iterator[Original]:
    """Read the good documents of a file with all that belongs to them."""
    documents = read_documents(path, quarantine)
    if ".jsonl" not in path.suffixes:
        yield from (Original(document, document.text.encode(), None) for document in documents)
        return
    lines = read_lines(path)
    for document in documents:
        data = next(record.data for record in lines if record.line == document.line)
        assert data is not None
        fields = json.loads(data)
        del fields["text"]
        yield Original(document, data, fields)
