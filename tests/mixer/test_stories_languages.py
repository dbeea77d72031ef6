import json
from importlib import resources
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.stories import LANGUAGES
from mixer.stories.concepts import BEATS, CONCEPTS, SLOTS, WORDLESS, template_names
from mixer.stories.draws import Draws
from mixer.stories.language import load_language, parse_language
from mixer.stories.noise import corrupt
from mixer.stories.plan import ALWAYS, MOST_OPTIONAL, UNFIT, draw_plan
from mixer.stories.realise import realise
from mixer.stories.template import Template

CODES = sorted({domain.language for domain in LANGUAGES})


def slots_of(template: Template) -> set[str]:
    """The slots whose concepts the text depends on."""
    gaps = [piece for piece in template.pieces if not isinstance(piece, str)]
    return {slot for gap in gaps for slot in (gap.slot, getattr(gap, "other", None)) if slot}


@pytest.mark.parametrize("code", CODES)
def test_every_concept_is_told_in_its_own_way(code: str) -> None:
    language = load_language(code)
    assert set(language.templates) == set(template_names())
    templates = [one for name in language.templates for one in language.templates[name]]
    base = dict(draw_plan(0, "base").concepts)
    for slot, kind in SLOTS.items():
        if kind in WORDLESS:
            continue
        told = set()
        about = [one for one in templates if slot in slots_of(one)]
        for concept in CONCEPTS[kind]:
            concepts = base | {slot: concept}
            texts = [t.fill(language.lexicon, concepts, language.capitals) for t in about]
            told.add("\n".join(texts))
            assert not set("{}<>|") & set("".join(texts))
        assert len(told) == len(CONCEPTS[kind]), slot


@given(st.integers(), st.text(max_size=20))
def test_plans(seed: int, plan_id: str) -> None:
    plan = draw_plan(seed, plan_id)
    assert plan == draw_plan(seed, plan_id)
    assert all(plan.concepts[slot] in CONCEPTS[kind] for slot, kind in SLOTS.items())
    assert plan.concepts["hero"] != plan.concepts["friend"]
    assert plan.concepts["pause"] != plan.concepts["later"] != "suddenly"
    assert set(plan.beats) >= ALWAYS
    assert set(plan.beats) <= set(BEATS)
    assert len(set(plan.beats)) == len(plan.beats) <= len(ALWAYS) + MOST_OPTIONAL
    assert plan.beats[0] == "opening"
    assert "thanks" not in plan.beats or "pack" in plan.beats
    for beat in set(UNFIT) & set(plan.beats):
        assert all(plan.concepts[slot] not in unfit for slot, unfit in UNFIT[beat].items())
    order = [beat for beat in plan.beats if beat not in ("joy", "remark", "return")]
    assert order == sorted(order, key=BEATS.index)


@given(st.integers(), st.sampled_from(CODES))
def test_stories(seed: int, code: str) -> None:
    plan = draw_plan(seed, "x")
    text = realise(plan, load_language(code), seed)
    assert text == realise(plan, load_language(code), seed)
    assert 200 < len(text) < 1300


def test_plans_vary() -> None:
    plans = [draw_plan(0, str(number)) for number in range(300)]
    assert len({tuple(plan.concepts.values()) for plan in plans}) == len(plans)
    assert len({plan.beats for plan in plans}) > 100
    assert {beat for plan in plans for beat in plan.beats} == set(BEATS)


@settings(max_examples=30)
@given(st.lists(st.text("abcdef", min_size=1), min_size=1), st.floats(0, 1), st.integers())
def test_noise_spoils_no_more_than_asked(words: list[str], share: float, seed: int) -> None:
    spoilt = corrupt(" ".join(words), share, Draws(seed, "noise")).split(" ")
    assert len(spoilt) == len(words)
    changed = sum(one != other for one, other in zip(spoilt, words, strict=True))
    assert changed <= round(share * len(words))
    if share == 0:
        assert spoilt == words


def german() -> dict[str, Any]:
    file = resources.files("mixer.stories") / "languages" / "de.json"
    loaded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return loaded


def change(data: dict[str, Any], *path: str, to: Any = None) -> dict[str, Any]:
    inner = data
    for key in path[:-1]:
        inner = inner[key]
    if to is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = to
    return data


WORDS = ("lexicon", "animal", "words")


@pytest.mark.parametrize(
    ("path", "to", "message"),
    [
        (("joiner",), None, "the file's keys lack joiner; add them"),
        (("colour",), {}, "include colour, which do not exist"),
        (("lexicon", "food"), None, "the lexicon's kinds lack food"),
        (("classes", "outcome"), ["m"], "unknown kinds"),
        (("classes", "name"), None, "give it both or neither"),
        ((*WORDS, "fox"), None, "the concepts of animal lack fox"),
        ((*WORDS, "wolf"), ["m", "Wolf", "Wolf", "Wolf"], "include wolf"),
        ((*WORDS, "fox"), ["m", "Fuchs", "Fuchs"], "needs one word for each of the forms"),
        ((*WORDS, "fox"), ["m", "Fuchs", "", "Fuchs"], "needs one word for each of the forms"),
        ((*WORDS, "fox"), ["x", "Fuchs", "Fuchs", "Fuchs"], "has the class 'x'; use one of"),
        (("templates", "pack"), None, "the templates lack pack"),
        (("templates", "problem", "lost"), None, "the templates lack problem.lost"),
        (("templates", "pack"), [], "pack needs at least one template"),
        (("templates", "pack"), ["{bag}"], "template pack: there is no slot 'bag'; use one of"),
        (("templates", "pack"), ["<bag:a|b>"], "there is no slot 'bag'"),
        (("templates", "pack"), ["{hero"], "has { outside a gap; write gaps as"),
        (("templates", "pack"), ["{outcome}"], "needs the forms"),
        (("templates", "pack"), ["{hero.gen}"], "lacks .'gen'.; add them, or use one of"),
        (("templates", "pack"), ["{colour.acc@hobby}"], "hobby, which has no classes"),
        (("templates", "pack"), ["{hero@object}"], "needs the forms .'m', 'f', 'n'."),
        (("templates", "pack"), ["<object:ein|eine>"], "one text for each class of object"),
        (("templates", "pack"), ["<food:a|b>"], "one text for each class of food"),
    ],
)
def test_language_files_are_checked(path: tuple[str, ...], to: Any, message: str) -> None:
    content = json.dumps(change(german(), *path, to=to))
    with pytest.raises(ValueError, match=f"^language file de.json: .*{message}"):
        parse_language("de", content)


def test_unknown_language() -> None:
    with pytest.raises(ValueError, match=r"need a file xx\.json; add it next to ar\.json"):
        load_language("xx")
