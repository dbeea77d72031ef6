"""Noise as the web has it: garbled letters, words out of place, characters decoded wrongly."""

from __future__ import annotations

import string

from mixer.stories.draws import Draws

FRAGMENTS = ("Ã©", "Ã¼", "Ã±", "â€™", "â€œ", "Â°", "Ð½", "ï¿½")
"""What UTF-8 looks like when read as Windows-1252."""


def corrupt(text: str, share: float, draws: Draws) -> str:
    """Spoil some of a text's words and leave the rest as they are.

    A third of the spoilt words get random letters, a third get wrongly decoded characters, and a
    third change places with each other, so the number of words stays.

    Args:
        text: Words separated by single spaces.
        share: The share of words to spoil.
        draws: Where to draw from.

    Returns:
        The spoilt text.
    """
    words = text.split(" ")
    spoilt = draws.shuffled(range(len(words)))[: round(share * len(words))]
    moved, garbled, misread = spoilt[::3], spoilt[1::3], spoilt[2::3]
    # Each takes the next one's place: every word moves, unless it is alone.
    for at, word in zip(moved, [words[at] for at in moved[1:] + moved[:1]], strict=True):
        words[at] = word
    for at in garbled:
        words[at] = "".join(_other_letter(letter, draws) for letter in words[at])
    for at in misread:
        cut = draws.below(len(words[at]))
        words[at] = words[at][:cut] + draws.pick(FRAGMENTS) + words[at][cut + 1 :]
    return " ".join(words)


def _other_letter(letter: str, draws: Draws) -> str:
    if not letter.isalpha():
        return letter
    return draws.pick(string.ascii_lowercase.replace(letter.lower(), ""))
