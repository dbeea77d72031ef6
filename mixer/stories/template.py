"""Sentences with gaps, as language files write them.

* ``{slot}`` is the word for the slot's concept, in its default form; ``{slot.form}`` in another.
* ``{slot@other}`` is the form named after the class of the word in the slot ``other``, and
  ``{slot.form@other}`` the form ``form.CLASS``: an adjective that agrees with its noun.
* ``{^slot}``, and the same with the above, begins with a capital letter.
* ``<slot:one|two>`` is the text for the class of the word in the slot, in the order of the file's
  ``classes``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from mixer.stories.lexicon import Lexicon

_GAP = re.compile(
    r"\{(?P<capital>\^?)(?P<slot>\w+)(?:\.(?P<form>[\w.-]+))?(?:@(?P<other>\w+))?\}"
    r"|<(?P<chooser>\w+):(?P<texts>[^<>{}]*)>"
)


@dataclass(frozen=True)
class _Word:
    slot: str
    form: str
    other: str | None
    capital: bool

    def fill(self, lexicon: Lexicon, concepts: Mapping[str, str]) -> str:
        form = self.form
        if self.other is not None:
            form += lexicon.class_of(self.other, concepts[self.other])
        return lexicon.word(self.slot, concepts[self.slot], form)


@dataclass(frozen=True)
class _Choice:
    slot: str
    texts: Mapping[str, str]

    def fill(self, lexicon: Lexicon, concepts: Mapping[str, str]) -> str:
        return self.texts[lexicon.class_of(self.slot, concepts[self.slot])]


@dataclass(frozen=True)
class Template:
    """A sentence or two with gaps.

    Attributes:
        pieces: Text and gaps in order.
    """

    pieces: tuple[str | _Word | _Choice, ...]

    def fill(
        self, lexicon: Lexicon, concepts: Mapping[str, str], capitals: Mapping[str, str]
    ) -> str:
        """Put words in the gaps.

        Args:
            lexicon: The words.
            concepts: The concept in every slot.
            capitals: Capital letters that are not Unicode's.

        Returns:
            The text, beginning with a capital letter.
        """
        text = ""
        for piece in self.pieces:
            if isinstance(piece, str):
                text += piece
                continue
            word = piece.fill(lexicon, concepts)
            capital = isinstance(piece, _Word) and piece.capital
            text += capitalise(word, capitals) if capital else word
        return capitalise(text, capitals)


def capitalise(text: str, capitals: Mapping[str, str]) -> str:
    """Make the first letter a capital, after any quotation marks.

    Args:
        text: Any text.
        capitals: Capital letters that are not Unicode's, such as ``{"i": "İ"}`` in Turkish.

    Returns:
        The text; unchanged in scripts without capital letters.
    """
    for at, letter in enumerate(text):
        if letter.isalpha():
            return text[:at] + capitals.get(letter, letter.upper()) + text[at + 1 :]
    return text


def parse_template(text: str, lexicon: Lexicon) -> Template:
    """Read a template.

    Args:
        text: The template as the file has it.
        lexicon: The words of the same file.

    Returns:
        The template; it can be filled for every concept.

    Raises:
        ValueError: A gap is malformed, or its slot, form or class does not exist.
    """
    pieces: list[str | _Word | _Choice] = []
    end = 0
    for gap in _GAP.finditer(text):
        pieces += [text[end : gap.start()], _parse_gap(gap, lexicon)]
        end = gap.end()
    pieces = [piece for piece in (*pieces, text[end:]) if piece]
    for piece in pieces:
        if isinstance(piece, str) and (marks := set("{}<>|") & set(piece)):
            raise ValueError(
                f"{piece!r} has {' '.join(sorted(marks))} outside a gap; write gaps as {{slot}}, "
                "{slot.form}, {slot@other} or <slot:one|two>"
            )
    return Template(tuple(pieces))


def _parse_gap(gap: re.Match[str], lexicon: Lexicon) -> _Word | _Choice:
    if chooser := gap["chooser"]:
        classes, texts = lexicon.slot_classes(chooser), gap["texts"].split("|")
        if not classes or len(classes) != len(texts):
            raise ValueError(
                f"{gap[0]} needs one text for each class of {chooser}, which are "
                f"{list(classes)}, and has {len(texts)}; write them in that order"
            )
        return _Choice(chooser, dict(zip(classes, texts, strict=True)))
    slot, form, other = gap["slot"], gap["form"], gap["other"]
    forms = lexicon.slot_forms(slot)
    if other is None:
        form = form or (forms[0] if forms else "")
        needed = [form]
    else:
        form = f"{form}." if form else ""
        if not (classes := lexicon.slot_classes(other)):
            raise ValueError(f"{gap[0]} agrees with {other}, which has no classes; drop @{other}")
        needed = [form + name for name in classes]
    if missing := [name for name in needed if name not in forms]:
        raise ValueError(
            f"{gap[0]} needs the forms {needed} of {slot}, which lacks {missing}; add them, or "
            f"use one of {list(forms)}"
        )
    return _Word(slot, form, other, bool(gap["capital"]))
