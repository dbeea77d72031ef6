"""What stories can be about, without a word of any language.

A *concept* ("fox", "autumn-evening", "lost") is named in English but means no English word: every
language file must say how it puts each one. A *slot* is the part a concept plays in a story, and
its *kind* says which concepts may play it: ``hero`` and ``friend`` are both names. A *beat* is one
step of a story, told in one or two sentences.
"""

from __future__ import annotations

from collections.abc import Mapping

CONCEPTS: Mapping[str, tuple[str, ...]] = {
    "name": (
        *("anna", "maria", "sara", "lena", "nina", "eva", "sofia", "clara", "laila", "mira"),
        *("adam", "david", "omar", "emil", "ivan", "tom", "anton", "karim", "martin", "daniel"),
    ),
    "role": (
        *("teacher", "singer", "painter", "student", "tailor"),
        *("shepherd", "gardener", "fisher", "farmer", "dancer"),
    ),
    "home": (
        *("seaside-village", "city", "hill-house", "farm"),
        *("island", "forest-edge", "river-town", "valley"),
    ),
    "hobby": ("read", "sing", "cook", "dance", "tell", "chess", "stars", "swim"),
    "time": (
        *("spring-morning", "spring-evening", "summer-morning", "summer-evening"),
        *("autumn-morning", "autumn-evening", "winter-morning", "winter-evening"),
        *("monday", "friday", "sunday", "holiday"),
    ),
    "weather": ("sun", "rain", "wind", "snow", "fog", "clouds", "heat", "rainbow"),
    "place": (
        *("forest", "river", "mountain", "garden", "beach", "lake"),
        *("field", "castle", "park", "hill", "meadow", "mill"),
    ),
    "errand": ("flowers", "grandmother", "draw", "rest", "kite", "birds", "firewood", "walk"),
    "spot": ("tree", "stone", "grass", "wall", "bench", "path", "bushes", "stream"),
    "object": (
        *("key", "ring", "book", "letter", "map", "lamp", "bell", "coin"),
        *("box", "mirror", "flute", "hat", "cup", "basket", "scarf", "ball"),
    ),
    "colour": ("red", "blue", "green", "yellow", "white", "black", "golden", "silver"),
    "quality": ("small", "big", "old", "beautiful", "strange", "shiny"),
    "joy": ("happy", "surprised", "curious", "proud"),
    "worry": ("sad", "afraid", "tired", "worried", "angry"),
    "animal": (
        *("fox", "owl", "turtle", "cat", "dog", "horse", "bear", "hare", "donkey", "mouse"),
    ),
    "trait": ("old", "little", "wise", "kind", "clever", "cheerful"),
    "pause": ("soon", "later", "hour", "minutes", "suddenly", "before-long"),
    "number": ("three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    "food": ("apple", "pear", "egg", "nut", "orange", "carrot", "biscuit", "plum"),
    "problem": (
        *("lost", "storm", "dropped", "thief", "night"),
        *("hunger", "bridge", "hurt", "locked", "missing"),
    ),
    "outcome": ("keep", "gift", "sell", "owner", "school", "helper"),
    "moral": ("kindness", "friendship", "patience", "courage", "sharing"),
}
"""Every kind of concept, and its concepts. Order matters: it is part of what a seed means."""

WORDLESS = frozenset({"outcome"})
"""Kinds that only choose between templates, so that no language has a word for them."""

SLOTS: Mapping[str, str] = {
    "hero": "name",
    "friend": "name",
    "role": "role",
    "home": "home",
    "hobby": "hobby",
    "time": "time",
    "weather": "weather",
    "place": "place",
    "errand": "errand",
    "spot": "spot",
    "object": "object",
    "colour": "colour",
    "quality": "quality",
    "joy": "joy",
    "worry": "worry",
    "helper": "animal",
    "trait": "trait",
    "pause": "pause",
    "later": "pause",
    "number": "number",
    "price": "number",
    "food": "food",
    "problem": "problem",
    "outcome": "outcome",
    "moral": "moral",
}
"""Every slot of a story and the kind of concept that fills it."""

BEATS = (
    *("opening", "friend", "departure", "pack", "find", "joy", "remark", "problem", "worry"),
    *("helper", "plea", "promise", "solution", "thanks", "outcome", "return", "ending", "moral"),
)
"""Every beat there is."""

FAMILIES: Mapping[str, str] = {"problem": "problem", "solution": "problem", "outcome": "outcome"}
"""Beats told in another way for each concept, and the slot that holds the concept."""


def template_names() -> tuple[str, ...]:
    """The name of every set of templates a language needs: ``find``, ``problem.lost``, ..."""
    names: list[str] = []
    for beat in BEATS:
        if beat in FAMILIES:
            names += [f"{beat}.{concept}" for concept in CONCEPTS[SLOTS[FAMILIES[beat]]]]
        else:
            names.append(beat)
    return tuple(names)
