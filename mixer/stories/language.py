"""A language of the stories: its words and its sentences, from its file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

from mixer.stories.concepts import FAMILIES, template_names
from mixer.stories.lexicon import Lexicon, check_names, parse_lexicon
from mixer.stories.template import Template, parse_template

_REQUIRED = {"joiner", "lexicon", "templates"}
_OPTIONAL = {"classes", "capitals"}


@dataclass(frozen=True)
class Language:
    """Everything needed to tell a story in one language.

    Attributes:
        code: Its code, as in ``LANGUAGES``.
        joiner: What stands between two sentences: a space, or nothing.
        capitals: Capital letters that are not Unicode's.
        lexicon: Its words.
        templates: For each name of ``template_names``, ways to tell that beat.
    """

    code: str
    joiner: str
    capitals: Mapping[str, str]
    lexicon: Lexicon
    templates: Mapping[str, tuple[Template, ...]]


@cache
def load_language(code: str) -> Language:
    """Load a language that comes with the package.

    Args:
        code: The language's code.

    Returns:
        The language, complete.

    Raises:
        ValueError: There is no such language, or its file is incomplete.
    """
    folder = resources.files("mixer.stories") / "languages"
    file = folder / f"{code}.json"
    if not file.is_file():
        there = sorted(one.name for one in folder.iterdir() if one.name.endswith(".json"))
        raise ValueError(f"stories need a file {code}.json; add it next to {', '.join(there)}")
    return parse_language(code, file.read_text(encoding="utf-8"))


def parse_language(code: str, content: str) -> Language:
    """Read a language file.

    Args:
        code: The language's code.
        content: The file's content.

    Returns:
        The language: every concept has a word and every beat a template that can be filled.

    Raises:
        ValueError: Something is missing, unknown or malformed.
    """
    try:
        data = json.loads(content)
        check_names("the file's keys", data, _REQUIRED | (_OPTIONAL & set(data)))
        lexicon = parse_lexicon(data["lexicon"], data.get("classes", {}))
        texts = dict(_flatten(data["templates"]))
        check_names("the templates", texts, set(template_names()))
        templates = {name: _parse_all(name, texts[name], lexicon) for name in texts}
    except ValueError as error:
        raise ValueError(f"language file {code}.json: {error}") from error
    return Language(code, data["joiner"], data.get("capitals", {}), lexicon, templates)


def _flatten(templates: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    for beat, entry in templates.items():
        if beat in FAMILIES:
            yield from ((f"{beat}.{concept}", texts) for concept, texts in entry.items())
        else:
            yield beat, entry


def _parse_all(name: str, texts: list[str], lexicon: Lexicon) -> tuple[Template, ...]:
    if not texts:
        raise ValueError(f"{name} needs at least one template and has none; write one")
    try:
        return tuple(parse_template(text, lexicon) for text in texts)
    except ValueError as error:
        raise ValueError(f"template {name}: {error}") from error
