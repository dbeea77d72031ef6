"""A small multilingual corpus of stories that comes with the package, for the demo and tests."""

from mixer.stories.corpus import write_corpus
from mixer.stories.registry import LANGUAGES

__all__ = ["LANGUAGES", "write_corpus"]
