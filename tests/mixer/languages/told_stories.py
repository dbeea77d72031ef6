"""The built-in stories as a folder of text for language identification."""

from __future__ import annotations

from mixer.stories import LANGUAGES
from mixer.stories.corpus import stories_of

TOLD = ("de", "en", "es", "ja")


def stories(language: str, split: str = "train", scale: float = 0.03) -> list[str]:
    """Stories, a sentence a line."""
    (domain,) = [domain for domain in LANGUAGES if domain.code == language]
    told = stories_of(domain, split, seed=0, scale=scale)
    return [story.text.replace(". ", ".\n").replace("。", "。\n") for story in told]


def sentences(language: str, count: int, split: str = "test") -> list[str]:
    """Sentences of other stories, long enough to be judged."""
    lines = "\n".join(stories(language, split)).split("\n")
    return [line for line in dict.fromkeys(lines) if len(line) > 30][:count]
