"""The words of one language: how it puts every concept, in every form its sentences need.

In a language file, each kind of concept has a list of *forms* and, for each concept, one word per
form. Where the words of a kind have a gender or the like, the file's ``classes`` names the
possible ones and the form ``agr`` says which one each concept has, so that other words can agree.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mixer.stories.concepts import CONCEPTS, SLOTS, WORDLESS

AGREEMENT = "agr"


@dataclass(frozen=True)
class Lexicon:
    """The words of a language.

    Attributes:
        forms: For each kind, the forms its words have, without ``agr``; the first is the default.
        classes: For each kind whose words have one, the classes there are.
        words: For each kind and concept, the word in each form, ``agr`` among them.
    """

    forms: Mapping[str, tuple[str, ...]]
    classes: Mapping[str, tuple[str, ...]]
    words: Mapping[str, Mapping[str, Mapping[str, str]]]

    def word(self, slot: str, concept: str, form: str) -> str:
        """The word for a concept that fills a slot, in one form."""
        return self.words[SLOTS[slot]][concept][form]

    def class_of(self, slot: str, concept: str) -> str:
        """The class of the word for a concept that fills a slot."""
        return self.words[SLOTS[slot]][concept][AGREEMENT]

    def slot_forms(self, slot: str) -> tuple[str, ...]:
        """The forms of the words that fill a slot; none if no word does.

        Raises:
            ValueError: There is no such slot.
        """
        return self.forms.get(_kind(slot), ())

    def slot_classes(self, slot: str) -> tuple[str, ...]:
        """The classes of the words that fill a slot; none if they have none.

        Raises:
            ValueError: There is no such slot.
        """
        return self.classes.get(_kind(slot), ())


def _kind(slot: str) -> str:
    if slot not in SLOTS:
        raise ValueError(f"there is no slot {slot!r}; use one of {', '.join(SLOTS)}")
    return SLOTS[slot]


def parse_lexicon(
    kinds: Mapping[str, Mapping[str, Any]], classes: Mapping[str, list[str]]
) -> Lexicon:
    """Read the lexicon of a language file.

    Args:
        kinds: The file's ``lexicon``.
        classes: The file's ``classes``.

    Returns:
        The lexicon.

    Raises:
        ValueError: A kind, a concept or a form is missing, empty or unknown.
    """
    needed = set(CONCEPTS) - WORDLESS
    check_names("the lexicon's kinds", kinds, needed)
    if unknown := set(classes) - needed:
        raise ValueError(f"classes are given for unknown kinds {sorted(unknown)}; remove them")
    return Lexicon(
        {kind: tuple(f for f in kinds[kind]["forms"] if f != AGREEMENT) for kind in kinds},
        {kind: tuple(names) for kind, names in classes.items()},
        {kind: _parse_kind(kind, kinds[kind], classes.get(kind, ())) for kind in kinds},
    )


def _parse_kind(
    kind: str, entry: Mapping[str, Any], classes: tuple[str, ...] | list[str]
) -> dict[str, dict[str, str]]:
    forms = entry["forms"]
    check_names(f"the concepts of {kind}", entry["words"], set(CONCEPTS[kind]))
    if (AGREEMENT in forms) != bool(classes):
        raise ValueError(
            f"a kind has the form {AGREEMENT!r} if and only if it has classes, and {kind} does "
            f"not (forms {forms}, classes {list(classes)}); give it both or neither"
        )
    words: dict[str, dict[str, str]] = {}
    for concept, given in entry["words"].items():
        if len(given) != len(forms) or not all(isinstance(word, str) and word for word in given):
            raise ValueError(
                f"{kind} {concept} needs one word for each of the forms {forms} and has {given}; "
                "give them in that order"
            )
        words[concept] = dict(zip(forms, given, strict=True))
        if classes and words[concept][AGREEMENT] not in classes:
            raise ValueError(
                f"{kind} {concept} has the class {words[concept][AGREEMENT]!r}; use one of "
                f"{list(classes)}"
            )
    return words


def check_names(what: str, given: Mapping[str, object], needed: set[str]) -> None:
    """Demand that a mapping has exactly the names it should.

    Args:
        what: What the names are, for the message.
        given: The mapping.
        needed: The names.

    Raises:
        ValueError: A name is missing or unknown.
    """
    if missing := sorted(needed - set(given)):
        raise ValueError(f"{what} lack {', '.join(missing)}; add them")
    if unknown := sorted(set(given) - needed):
        raise ValueError(f"{what} include {', '.join(unknown)}, which do not exist; remove them")
