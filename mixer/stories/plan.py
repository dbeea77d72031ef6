"""The plan of a story: what happens and to whom, before any language tells it.

All languages tell the same plans, so a plan's ID is what makes two texts translations of each
other. There are more than 10^18 plans, so two IDs never mean the same one in practice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mixer.stories.concepts import BEATS, CONCEPTS, SLOTS
from mixer.stories.draws import Draws

ALWAYS = frozenset(
    {"opening", "friend", "departure", "find", "problem", "helper", "solution", "outcome"}
)
"""Beats without which the others make no sense; the rest come and go."""

MOST_OPTIONAL = 4
"""More beats than this on top make the story long rather than better."""

_EVENINGS = frozenset(time for time in CONCEPTS["time"] if time.endswith("evening"))

UNFIT: Mapping[str, Mapping[str, frozenset[str]]] = {
    # The helper brings food because there is none left: none was packed, none can be given away.
    "pack": {"problem": frozenset({"hunger"})},
    "thanks": {"problem": frozenset({"hunger"})},
    # The friend is with the hero, so is not to be shown or told anything at home.
    "remark": {"problem": frozenset({"missing"})},
    # "In the evening the hero came home" does not follow a night, nor a departure that evening.
    "return": {"problem": frozenset({"missing", "night"}), "time": _EVENINGS},
}
"""Beats that contradict some concepts: for a beat and a slot, the concepts it cannot go with."""

UNLIKELY: Mapping[str, tuple[str, ...]] = {
    "snow": ("spring", "summer", "autumn", "holiday"),
    "heat": ("winter", "autumn"),
    "flowers": ("winter", "snow"),
}
"""Kinds of weather and errands, and how the names of the times and weathers begin that they never
go with."""


@dataclass(frozen=True)
class Plan:
    """One story, in no language.

    Attributes:
        id: Names the plan; languages share it.
        concepts: The concept in every slot.
        beats: The beats to tell, in order.
    """

    id: str
    concepts: Mapping[str, str]
    beats: tuple[str, ...]


def draw_plan(seed: int, plan_id: str) -> Plan:
    """Draw the plan that an ID stands for.

    Args:
        seed: The user's seed.
        plan_id: Any text; the same one always gives the same plan.

    Returns:
        The plan.
    """
    draws = Draws(seed, "plan", plan_id)
    concepts: dict[str, str] = {}
    for slot in SLOTS:
        concepts[slot] = draws.pick(_options(slot, concepts))
    return Plan(plan_id, concepts, _draw_beats(draws, concepts))


def _options(slot: str, drawn: Mapping[str, str]) -> list[str]:
    options = list(CONCEPTS[SLOTS[slot]])
    if slot == "friend":
        options.remove(drawn["hero"])
    elif slot == "later":
        # Help takes a while: what comes "suddenly" is the trouble.
        options = [pause for pause in options if pause not in ("suddenly", drawn["pause"])]
    elif slot in ("weather", "errand"):
        around = [drawn[other] for other in ("time", "weather") if other in drawn]
        options = [
            option
            for option in options
            if not any(one.startswith(UNLIKELY.get(option, ())) for one in around)
        ]
    return options


def _draw_beats(draws: Draws, concepts: Mapping[str, str]) -> tuple[str, ...]:
    optional = [beat for beat in BEATS if beat not in ALWAYS and _fits(beat, concepts)]
    told = ALWAYS.union(draws.shuffled(optional)[: draws.below(MOST_OPTIONAL + 1)])
    if "pack" not in told:
        told -= {"thanks"}  # Only what was packed can be shared.
    order = [beat for beat in BEATS if beat in told]
    if "return" in told and concepts["outcome"] != "helper":
        # What becomes of the object is seen at home, unless the helper is given it.
        order.remove("return")
        order.insert(order.index("outcome"), "return")
    if {"joy", "remark"} <= told and draws.chance(0.5):
        joy = order.index("joy")
        order[joy : joy + 2] = ["remark", "joy"]
    return tuple(order)


def _fits(beat: str, concepts: Mapping[str, str]) -> bool:
    return all(concepts[slot] not in unfit for slot, unfit in UNFIT.get(beat, {}).items())
