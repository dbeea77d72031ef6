"""Which of many domains a chart names, and the colour each domain has in all charts."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

NAMED = 12
NUM_COLOURS = 14


def highest(scores: Mapping[str, float], number: int = NAMED) -> list[str]:
    """The names with the highest scores, highest first.

    One name more than ``number`` is named too: it would be alone as "the others".
    """
    known = {name: score for name, score in scores.items() if math.isfinite(score)}
    ranked = sorted(known, key=lambda name: -known[name])
    return ranked if len(ranked) <= number + 1 else ranked[:number]


def colours(named: Iterable[str]) -> dict[str, str]:
    """CSS classes by name; when colours are used up, they come again with broken lines."""
    found = {}
    for number, name in enumerate(dict.fromkeys(named)):
        again, colour = divmod(number, NUM_COLOURS)
        found[name] = f"c{colour}" + (f" again{min(again, 2)}" if again else "")
    return found
