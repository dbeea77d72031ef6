from pathlib import Path

import numpy as np
import pytest
from texts import write_texts
from told_stories import TOLD, sentences, stories

from mixer.languages.identifier import Identifier
from mixer.languages.model_file import read_labels
from mixer.languages.training import train

pytest.importorskip("fasttext", reason="fastText is not installed (extra prepare)")


def test_languages_are_told_apart(model: Path) -> None:
    assert sorted(read_labels(model)) == list(TOLD)
    identifier = Identifier(model)
    for language in TOLD:
        verdicts = [identifier.judge(text, {language}) for text in stories(language, "test")]
        judged = [verdict for verdict in verdicts if verdict]
        assert len(judged) >= 5
        assert all(verdict.agrees and verdict.score > 0.5 for verdict in judged), language


def test_the_same_seed_gives_the_same_model_whatever_was_in_memory(
    told: Path, model: Path, tmp_path: Path
) -> None:
    # What fastText leaves unset it finds in memory as it was; this process leaves something there.
    for _ in range(3):
        rubbish = [np.full(1 << 20, np.nan, dtype=np.float32) for _ in range(8)]
        del rubbish
    tallies = train(told, tmp_path / "deep/again.bin", epochs=20)
    assert (tmp_path / "deep/again.bin").read_bytes() == model.read_bytes()
    assert not list((tmp_path / "deep").glob("*.partial"))
    assert list(tallies["documents"]) == list(TOLD)
    assert all(tally.agreement == 1 for tally in tallies["documents"].values())


def test_what_several_languages_have_is_not_learnt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from mixer.languages import training

    source = write_texts(
        tmp_path / "text",
        {
            "de/train.jsonl": ["Das ist ein deutscher Satz.\nThis sentence is in both of them."],
            "en/train.jsonl": [
                "This sentence is in both of them.\nThis one is English alone, yes."
            ],
        },
    )
    written: list[str] = []

    def stop(self: training.LearnModel, report: object) -> None:
        written.extend(self.lines.read_text().splitlines())
        raise ValueError("enough")

    monkeypatch.setattr(training.LearnModel, "run", stop)
    monkeypatch.setattr(training, "Workers", lambda _: training_in_this_process())
    with pytest.raises(ValueError, match="enough"):
        train(source, tmp_path / "model.bin")
    assert sorted(written) == [
        "__label__de Das ist ein deutscher Satz.",
        "__label__en This one is English alone, yes.",
    ]


def training_in_this_process() -> object:
    from mixer.workers import Workers

    return Workers(0)


def test_mistakes_are_told_before_training(tmp_path: Path) -> None:
    text = sentences("de", 3)
    alone = write_texts(tmp_path / "alone", {"de/train.jsonl": text})
    with pytest.raises(ValueError, match="at least two languages to tell apart, got one"):
        train(alone, tmp_path / "model.bin")
    same = write_texts(tmp_path / "same", {"de/train.jsonl": text, "en/train.jsonl": text})
    with pytest.raises(ValueError, match="de, en must have paragraphs of 20 letters that no other"):
        train(same, tmp_path / "model.bin")
    for option in ("threads", "epochs", "min_letters"):
        with pytest.raises(ValueError, match=f"{option} must be at least 1, got 0"):
            train(alone, tmp_path / "model.bin", **{option: 0})
    with pytest.raises(ValueError, match="megabytes must be positive, got 0"):
        train(alone, tmp_path / "model.bin", megabytes=0)
    assert not (tmp_path / "model.bin").exists()
