"""What of a text can tell its language: prose, not code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

FENCES = ("```", "~~~")
# Identifiers, paths, addresses and calls are the same in all languages, and the shorter the text
# the more a model is misled by them. What gives them away is a sign or a capital inside a word.
INSIDE = re.compile(r"[A-Za-z0-9][_\\/$=<>{}\[\]@#|:.(&+*%]++[A-Za-z0-9_$]|[a-z][A-Z]")
# Only ASCII counts, since words of Chinese or Japanese stand next to them without a space.
IDENTIFIER = re.compile(rf"(?<![!-~])(?=[!-~]*?(?:{INSIDE.pattern}))[!-~]++")


class Paragraph(NamedTuple):
    """One line of a document.

    Attributes:
        text: The line without its end.
        is_code: Whether it stands in a fenced block of code, or is a fence.
    """

    text: str
    is_code: bool


def paragraphs(text: str) -> Iterator[Paragraph]:
    """The lines of a document, empty ones too; joined by line ends they are the document."""
    fence = ""
    for line in text.split("\n"):
        begin = line.lstrip()[:3]
        if fence:
            yield Paragraph(line, True)
            fence = "" if begin == fence else fence
        else:
            fence = begin if begin in FENCES else ""
            yield Paragraph(line, bool(fence))


def without_code(text: str) -> str:
    """A document without its blocks of code."""
    if not any(fence in text for fence in FENCES):
        return text
    return "\n".join(paragraph.text for paragraph in paragraphs(text) if not paragraph.is_code)


def without_identifiers(text: str) -> str:
    return IDENTIFIER.sub(" ", text) if INSIDE.search(text) else text


def has_letters(text: str, least: int) -> bool:
    """Whether a text has at least so many letters; reads no further than it must."""
    return re.match(rf"(?:[\W\d_]*+[^\W\d_]){{{least}}}", text) is not None
