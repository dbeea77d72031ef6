from pathlib import Path

import pytest
from told_stories import sentences

from mixer.languages.identifier import Identifier


def test_verdicts(model: Path) -> None:
    identifier = Identifier(model)
    (german,) = sentences("de", 1)
    right, wrong = identifier.judge(german, {"de"}), identifier.judge(german, {"en"})
    assert right is not None
    assert wrong is not None
    assert (right.taken_for, right.agrees) == ("de", True)
    assert (wrong.taken_for, wrong.agrees) == ("de", False)
    assert 0.5 < right.score <= 1
    assert wrong.score < 0.5


def test_labels_of_one_language_are_added_up(model: Path) -> None:
    (german,) = sentences("de", 1)
    verdict = Identifier(model).judge(german, {"de", "en", "es", "ja"})
    assert verdict is not None
    assert verdict.score == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize(
    "text",
    ["", "\n\n", "Ja.", "12345 67890 12345 67890 ---", "mysqli_real_connect PDO::getAttribute"],
)
def test_too_little_prose_is_not_judged(model: Path, text: str) -> None:
    assert Identifier(model).judge(text, {"de"}) is None


@pytest.mark.parametrize("between", ["\n", "\r\n", "\0", " </s> ", "\n__label__ja ", "\u2028"])
def test_nothing_in_a_text_ends_it_early(model: Path, between: str) -> None:
    english = between.join(sentences("en", 6))
    identifier = Identifier(model)
    # If only the first sentence were read, the answer would be the other language.
    (german,) = sentences("de", 1)
    verdict = identifier.judge(german + between + english, {"en"})
    assert verdict is not None
    assert verdict.taken_for == "en"


def test_long_texts_are_judged_by_their_beginning(model: Path) -> None:
    text = " ".join(sentences("de", 5)) * 1000 + " ".join(sentences("en", 5)) * 5000
    verdict = Identifier(model).judge(text, {"de"})
    assert verdict is not None
    assert verdict.agrees


def test_the_fingerprint_is_that_of_the_file(model: Path, tmp_path: Path) -> None:
    copy = tmp_path / "copy.bin"
    copy.write_bytes(model.read_bytes())
    assert Identifier(copy).fingerprint() == Identifier(model).fingerprint()


def test_without_fasttext_the_way_out_is_told(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match=r"pip install 'glotmix\[prepare\]'"):
        Identifier(model)


def test_min_letters_is_checked(model: Path) -> None:
    with pytest.raises(ValueError, match="min_letters must be at least 1, got 0"):
        Identifier(model, min_letters=0)
