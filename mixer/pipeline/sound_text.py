"""Documents whose text is none, from whatever reader."""

from __future__ import annotations

from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter

from mixer.documents import LONGEST_LINE


def text_fault(text: object) -> str:
    """What is wrong with a document's text, in the words of the quarantine; empty if nothing is."""
    if not isinstance(text, str):
        return "text is no string"
    if not text or text.isspace():
        return "empty text"
    if "\0" in text:
        return "NUL character"
    try:
        size = len(text.encode())
    except UnicodeEncodeError:
        return "lone surrogate"
    return "too long" if size > LONGEST_LINE else ""


class SoundText(BaseFilter):
    """Removes what no shard may hold: blank texts, NUL characters, texts of over 16 MiB.

    It stands after every reader of a pipeline; ``TextReader`` has found most of it before.
    """

    name = "Sound text"

    def filter(self, doc: Document) -> bool | tuple[bool, str]:
        reason = text_fault(doc.text)
        if reason in ("text is no string", "lone surrogate"):
            # Such a text cannot be written to the removed set either.
            doc.text = repr(doc.text)
        return (False, reason) if reason else True
