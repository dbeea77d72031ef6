"""From a plan to a text: the same story in any language."""

from __future__ import annotations

from mixer.stories.concepts import FAMILIES
from mixer.stories.draws import Draws
from mixer.stories.language import Language
from mixer.stories.plan import Plan


def realise(plan: Plan, language: Language, seed: int) -> str:
    """Tell a story.

    Which of a language's sentences tells a beat is drawn for each language on its own: languages
    have different numbers of them, and real translations do not match word for word either.

    Args:
        plan: What to tell.
        language: The language to tell it in.
        seed: The user's seed.

    Returns:
        The text, one paragraph.
    """
    draws = Draws(seed, "realise", language.code, plan.id)
    sentences = []
    for beat in plan.beats:
        name = f"{beat}.{plan.concepts[FAMILIES[beat]]}" if beat in FAMILIES else beat
        template = draws.pick(language.templates[name])
        sentences.append(template.fill(language.lexicon, plan.concepts, language.capitals))
    return language.joiner.join(sentences)
