"""The domains of the story corpus: languages of many scripts and families, of very unequal size."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class StoryDomain:
    """One domain of the story corpus.

    Attributes:
        code: Its name in the corpus. Before a dash stands the language that it is told in.
        name: Its name in English.
        script: The script it is written in.
        family: Its branch of a language family; two with the same one are close relatives.
        share: The size of its train split in bytes, as a share of the largest.
        noise: The share of words that are spoilt, in every split.
    """

    code: str
    name: str
    script: str
    family: str
    share: float
    noise: float = 0.0

    @property
    def language(self) -> str:
        """Code of the language that it is told in."""
        return self.code.partition("-")[0]


LANGUAGES = (
    StoryDomain("en", "English", "Latin", "Germanic", 1.0),
    StoryDomain("es", "Spanish", "Latin", "Romance", 0.40),
    StoryDomain("de", "German", "Latin", "Germanic", 0.30),
    StoryDomain("ru", "Russian", "Cyrillic", "Slavic", 0.24),
    StoryDomain("en-noisy", "English, 30% noise", "Latin", "Germanic", 0.20, noise=0.3),
    StoryDomain("ja", "Japanese", "Japanese", "Japonic", 0.13),
    StoryDomain("ar", "Arabic", "Arabic", "Semitic", 0.09),
    StoryDomain("id", "Indonesian", "Latin", "Austronesian", 0.06),
    StoryDomain("tr", "Turkish", "Latin", "Turkic", 0.045),
    StoryDomain("hi", "Hindi", "Devanagari", "Indo-Aryan", 0.03),
    StoryDomain("it", "Italian", "Latin", "Romance", 0.022),
    StoryDomain("el", "Greek", "Greek", "Hellenic", 0.015),
    StoryDomain("uk", "Ukrainian", "Cyrillic", "Slavic", 0.01),
)
"""Largest first. Of the small ones, Italian and Ukrainian have a large relative that a model can
learn from (Spanish, Russian); Turkish, Hindi and Greek have none."""
