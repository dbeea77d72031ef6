"""Which text of a language is kept."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from mixer.languages.filter_receipts import VERSION
from mixer.languages.identifier import Identifier, Verdict
from mixer.languages.prose import paragraphs, without_code


class Removal(NamedTuple):
    """A document or paragraph that is removed; ``paragraph`` counts lines from 1, None: all."""

    paragraph: int | None
    text: str
    verdict: Verdict


class Decision(NamedTuple):
    """What becomes of a document.

    Attributes:
        rest: What is left of its text; None if nothing.
        removals: What is removed.
        undecided: Documents (1 or 0) or paragraphs with too little prose to be judged.
        paragraphs: Paragraphs it has, empty lines not counted; 0 if it is judged as a whole.
        removed_paragraphs: Those that are removed.
    """

    rest: str | None
    removals: Sequence[Removal] = ()
    undecided: int = 0
    paragraphs: int = 0
    removed_paragraphs: int = 0


@dataclass(frozen=True, kw_only=True)
class Rule:
    """What decides which text of a language is kept.

    Attributes:
        model: The fastText model.
        fingerprint: Digest of its file.
        labels: Its labels for the language, sorted.
        threshold: Least probability of the language.
        paragraphs: Whether paragraphs are judged, or whole documents.
        min_letters: What has fewer letters is kept unjudged.
    """

    model: Path
    fingerprint: str
    labels: tuple[str, ...]
    threshold: float
    paragraphs: bool
    min_letters: int

    def decide(self, text: str) -> Decision:
        """What is left of a document; the whole goes if nothing that passed is left."""
        return self._decide_paragraphs(text) if self.paragraphs else self._decide_whole(text)

    def digest(self) -> str:
        """Changes whenever other text would be kept; where the model lies does not matter."""
        record = asdict(self) | {"model": None, "version": VERSION}
        return hashlib.blake2b(json.dumps(record).encode(), digest_size=20).hexdigest()

    def _decide_whole(self, text: str) -> Decision:
        verdict = self._judge(without_code(text))
        if verdict is None or self._passes(verdict):
            return Decision(text, undecided=int(verdict is None))
        return Decision(None, [Removal(None, text, verdict)])

    def _decide_paragraphs(self, text: str) -> Decision:
        kept: list[str] = []
        removals: list[Removal] = []
        count = passed = undecided = 0
        for number, (line, is_code) in enumerate(paragraphs(text), start=1):
            count += bool(line.strip())
            verdict = None if is_code else self._judge(line)
            if verdict is not None and not self._passes(verdict):
                removals.append(Removal(number, line, verdict))
                continue
            kept.append(line)
            passed += verdict is not None
            undecided += verdict is None and bool(line.strip())
        if passed or not removals:
            return Decision("\n".join(kept), removals, undecided, count, len(removals))
        longest = max(removals, key=lambda removal: len(removal.text))
        whole = Removal(None, text, longest.verdict)
        return Decision(None, [whole], undecided, count, count)

    def _judge(self, text: str) -> Verdict | None:
        return _identifier(self.model, self.min_letters).judge(text, self.labels)

    def _passes(self, verdict: Verdict) -> bool:
        return verdict.agrees and verdict.score >= self.threshold


@lru_cache(maxsize=1)
def _identifier(model: Path, min_letters: int) -> Identifier:
    return Identifier(model, min_letters)
