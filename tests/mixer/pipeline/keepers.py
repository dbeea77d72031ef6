"""Filters as a user would write them."""

from __future__ import annotations

from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter


def long_enough(document: Document) -> bool:
    return len(document.text) > 4


class Judge(BaseFilter):  # type: ignore[misc]
    """Removes by two reasons, and leaves a score."""

    name = "Judge"

    def __init__(self, against: str) -> None:
        super().__init__()
        self.against = against

    def filter(self, document: Document) -> bool | tuple[bool, str]:
        document.metadata["score"] = len(document.text) / 2
        if self.against in document.text:
            return False, "bad word"
        return (False, "too short") if len(document.text) < 3 else True
