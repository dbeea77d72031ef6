"""A fastText model and what it says of a text."""

from __future__ import annotations

import importlib.util
from collections.abc import Collection
from pathlib import Path
from typing import Any, NamedTuple

from mixer.compressed import CHUNK
from mixer.indexed import checksum_text, new_digest
from mixer.languages.model_file import PREFIX, read_labels
from mixer.languages.prose import has_letters, without_identifiers

# Enough for any language; the work of fastText and its memory grow with the text.
LONGEST_TEXT = 1 << 16
END_OF_LINE = "</s>"
MIN_LETTERS = 20


class Verdict(NamedTuple):
    """What a model says of a text.

    Attributes:
        taken_for: The label that the model finds most probable.
        score: The probability of the language that the text should be in, from 0 to 1.
        agrees: Whether the most probable label is one of that language.
    """

    taken_for: str
    score: float
    agrees: bool


def require_fasttext() -> None:
    """Refuse to begin without fastText.

    Raises:
        ValueError: It is not installed.
    """
    if importlib.util.find_spec("fasttext") is None:
        raise ValueError("languages are told by fastText: pip install 'glotmix[prepare]'")


class Identifier:
    """A supervised fastText model.

    Args:
        path: A ``.bin`` or ``.ftz``.
        min_letters: A text with fewer letters outside identifiers is not judged.

    Attributes:
        path: Where the model lies.
        labels: What it can answer, without ``__label__``.

    Raises:
        ValueError: fastText is not installed, or the file is no whole model.
    """

    def __init__(self, path: Path, min_letters: int = MIN_LETTERS) -> None:
        if min_letters < 1:
            raise ValueError(f"min_letters must be at least 1, got {min_letters}")
        require_fasttext()
        self.path = path
        self.min_letters = min_letters
        self.labels = read_labels(path)
        # The C++ model: the wrapper's own `predict` costs several times as much for a line.
        self._model = _load(path)

    def judge(self, text: str, expected: Collection[str]) -> Verdict | None:
        """Judge whether a text is in a language.

        Args:
            text: At most its first 64 Ki characters are looked at.
            expected: The labels of the language. Of several, those among the model's best answers
                are added up.

        Returns:
            The verdict; None if the text has too few letters to tell.
        """
        prose = without_identifiers(text[:LONGEST_TEXT])
        if not has_letters(prose, self.min_letters):
            return None
        answers = self._model.predict(one_line(prose), len(expected) + 1, 0.0, "strict")
        taken_for = answers[0][1].removeprefix(PREFIX)
        score = sum(share for share, label in answers if label.removeprefix(PREFIX) in expected)
        return Verdict(taken_for, min(score, 1.0), taken_for in expected)

    def fingerprint(self) -> str:
        """Changes whenever the model does."""
        digest = new_digest()
        with self.path.open("rb") as file:
            while data := file.read(CHUNK):
                digest.update(data)
        return checksum_text(digest)


def one_line(text: str) -> str:
    """A text as a line for fastText: an end, and nothing in it that fastText takes for one."""
    return text.replace("\n", " ").replace(END_OF_LINE, " ").replace(PREFIX, " ") + "\n"


def _load(path: Path) -> Any:
    import fasttext

    try:
        return fasttext.load_model(str(path)).f
    except (RuntimeError, MemoryError) as error:
        raise ValueError(f"fastText cannot load {path}: {error}") from error
