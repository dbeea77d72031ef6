"""How much of a folder is in its language, counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from mixer.languages.identifier import Verdict


@dataclass
class Tally:
    """Counts of documents, or of paragraphs.

    Attributes:
        judged: How many the model judged.
        judged_bytes: Their text in UTF-8.
        agreeing: Those of them whose most probable label is their folder's.
        agreeing_bytes: Likewise.
        undecided: How many have too little prose to be judged.
        undecided_bytes: Likewise.
        score_sum: Sum of the probabilities of the folder's language over the judged.
        taken_for: How many were taken for each other label.
        taken_for_bytes: Likewise.
    """

    judged: int = 0
    judged_bytes: int = 0
    agreeing: int = 0
    agreeing_bytes: int = 0
    undecided: int = 0
    undecided_bytes: int = 0
    score_sum: float = 0.0
    taken_for: Counter[str] = field(default_factory=Counter)
    taken_for_bytes: Counter[str] = field(default_factory=Counter)

    def add(self, verdict: Verdict | None, num_bytes: int) -> None:
        if verdict is None:
            self.undecided += 1
            self.undecided_bytes += num_bytes
            return
        self.judged += 1
        self.judged_bytes += num_bytes
        self.score_sum += verdict.score
        if verdict.agrees:
            self.agreeing += 1
            self.agreeing_bytes += num_bytes
        else:
            self.taken_for[verdict.taken_for] += 1
            self.taken_for_bytes[verdict.taken_for] += num_bytes

    @property
    def agreement(self) -> float:
        """Share of the judged that is in the folder's language; 0 if there are none."""
        return self.agreeing / max(self.judged, 1)

    @property
    def agreement_bytes(self) -> float:
        return self.agreeing_bytes / max(self.judged_bytes, 1)

    @property
    def mean_score(self) -> float:
        return self.score_sum / max(self.judged, 1)
