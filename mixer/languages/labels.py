"""Which of a model's labels stand for the language of a folder."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

# Models that name scripts call Chinese characters Hani, whatever the region.
WRITTEN_IN_HANI = ("Hans", "Hant")
MOST_TOLD = 20


class Tag(NamedTuple):
    """What a name says of a language.

    Attributes:
        language: Its code, the shortest there is; a name that is no code stands for itself.
        script: Its script, the usual one if none is named.
        has_script: Whether one is named.
    """

    language: str
    script: str
    has_script: bool


def labels_of(
    folders: Iterable[str], known: Sequence[str], given: Mapping[str, str] | None = None
) -> dict[str, frozenset[str]]:
    """Find the labels of each folder.

    A folder's own name, if the model has it; else all labels that stand for the same language in
    the same script, whatever code they use: ``de``, ``deu`` and ``deu_Latn``; ``ar``, ``arb_Arab``
    and ``ara_Arab``. A label without a script stands for every script.

    Args:
        folders: Names of folders.
        known: The model's labels, without ``__label__``.
        given: What is not to be guessed: labels by folder, several joined by ``+``.

    Raises:
        ValueError: The model does not know the language of a folder, or not the label that is
            given for it. Names all such folders.
    """
    folders = list(folders)
    given = dict(given or {})
    if strangers := sorted(set(given) - set(folders)):
        raise ValueError(
            f"labels name {', '.join(strangers)}; the folders are {', '.join(folders)}"
        )
    found = {name: frozenset([name]) for name in folders if name in known}
    found |= {name: _given(name, labels, known) for name, labels in given.items()}
    if guessed := [name for name in folders if name not in found]:
        parsed = {label: _parsed(label) for label in known}
        found |= {name: _same_language(_parsed(name), parsed) for name in guessed}
    if unknown := [folder for folder in folders if not found[folder]]:
        raise ValueError(
            f"the model has no label for {', '.join(unknown)}; name one (--labels."
            f"{unknown[0]} LABEL), take another model, or leave these folders out; {_known(known)}"
        )
    return found


def _given(folder: str, labels: str, known: Sequence[str]) -> frozenset[str]:
    wanted = labels.split("+")
    if unknown := [label for label in wanted if label not in known]:
        raise ValueError(
            f"labels of {folder} must be the model's, got {', '.join(unknown)}; {_known(known)}"
        )
    return frozenset(wanted)


def _known(known: Sequence[str]) -> str:
    more = f" and {len(known) - MOST_TOLD} more" if len(known) > MOST_TOLD else ""
    return f"it knows {', '.join(known[:MOST_TOLD])}{more}"


def _same_language(tag: Tag, known: Mapping[str, Tag]) -> frozenset[str]:
    scripts = {tag.script, "Hani"} if tag.script in WRITTEN_IN_HANI else {tag.script}
    return frozenset(
        label
        for label, other in known.items()
        if tag.language == other.language and (other.script in scripts or not other.has_script)
    )


def _parsed(name: str) -> Tag:
    import langcodes
    from langcodes.tag_parser import LanguageTagError

    try:
        # Macrolanguages stand for their usual member: "arb" is "ar", "cmn" is "zh".
        language = langcodes.Language.get(langcodes.standardize_tag(name, macro=True))
    except LanguageTagError:
        return Tag(name, "", False)
    script = language.maximize().script or ""
    return Tag(language.language or name, script, language.script is not None)
