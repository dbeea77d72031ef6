import json
from pathlib import Path

import pytest
from texts import write_texts
from told_stories import sentences

from mixer.languages.inspection import check

CODE = "```\necho 'Das ist ein deutscher Satz in einem englischen Programm';\n```"


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """German with English paragraphs and an English document; English with code."""
    german, english = sentences("de", 8), sentences("en", 8)
    return write_texts(
        tmp_path / "mixed",
        {
            "de/train.jsonl": [
                "\n".join([*german[:6], english[0], "Ja."]),
                "\n".join(english[1:5]),
            ],
            "en/train.txt": "\n\n".join(["\n".join(english), CODE]).encode(),
            "en/test.jsonl": [english[7]],
        },
    )


def test_foreign_documents_and_paragraphs_are_counted(
    mixed: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "deep/report.json"
    tallies = check(mixed, model, paragraphs=True, out=out)
    german = tallies["documents"]["de"]
    assert (german.judged, german.agreeing, german.undecided) == (2, 1, 0)
    assert german.taken_for == {"en": 1}
    assert german.agreeing_bytes + german.taken_for_bytes["en"] == german.judged_bytes
    assert 0.4 < german.mean_score < 0.6
    lines = tallies["paragraphs"]["de"]
    assert (lines.judged, lines.agreeing, lines.undecided) == (11, 6, 1)
    assert lines.taken_for == {"en": 5}
    assert lines.undecided_bytes == 3
    english = tallies["paragraphs"]["en"]
    assert (english.judged, english.agreeing, english.undecided) == (8, 8, 3)
    assert tallies["documents"]["en"].undecided == 1
    record = json.loads(out.read_text())
    assert record["labels"] == {"de": ["de"], "en": ["en"]}
    assert record["levels"]["paragraphs"]["de"]["taken_for"] == {"en": 5}
    table = capsys.readouterr().out.splitlines()
    assert table[1].split()[:4] == ["de", "2", "50.0%", f"{german.agreement_bytes:.1%}"]
    assert table[4].split()[-2:] == ["en", "5"]


def test_a_beginning_may_be_enough(mixed: Path, model: Path) -> None:
    tallies = check(mixed, model, megabytes=1e-4)
    assert list(tallies) == ["documents"]
    assert tallies["documents"]["de"].judged == 1
    assert list(check(mixed, model, split="test")["documents"]) == ["en"]


def test_labels_are_the_users_to_name(mixed: Path, model: Path) -> None:
    tallies = check(mixed, model, labels={"de": "en"})
    assert tallies["documents"]["de"].agreeing == 1


def test_mistakes_are_told(mixed: Path, model: Path) -> None:
    with pytest.raises(ValueError, match="split must be one of train, validation, test, got 'dev'"):
        check(mixed, model, split="dev")
    with pytest.raises(ValueError, match="has no validation split in any language"):
        check(mixed, model, split="validation")
    with pytest.raises(ValueError, match="megabytes must be positive, got 0"):
        check(mixed, model, megabytes=0)
    (mixed / "sw").mkdir()
    (mixed / "sw/train.txt").write_text("moja mbili tatu")
    with pytest.raises(ValueError, match="the model has no label for sw"):
        check(mixed, model)
