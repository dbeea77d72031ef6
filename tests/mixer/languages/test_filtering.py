import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import zstandard
from texts import jsonl, packed, tree, write_texts
from told_stories import sentences

from mixer.languages.filter_receipts import Counts
from mixer.languages.filtering import filter_text
from mixer.sources import find_sources

GERMAN, ENGLISH = sentences("de", 8), sentences("en", 8)
MIXED = "\n".join([GERMAN[0], ENGLISH[0], "", "Ja.", GERMAN[1]])
FOREIGN = "\n".join([ENGLISH[1], "OK.", ENGLISH[2]])
LINE = b'{"id": "a/b", "n": 1.50, "text": "Ja.\\u00e9",   "tags": [1, {"x": null}]}\r\n'


def record(text: str, **fields: Any) -> bytes:
    return json.dumps(fields | {"text": text}).encode() + b"\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    german = LINE + b"\n" + record(MIXED, id="m") + record(FOREIGN, id="f", by=[1]) + b"bad\n"
    return write_texts(
        tmp_path / "text",
        {
            "de/train.jsonl.zst": german + jsonl(GERMAN[2:]),
            "de/validation.jsonl": jsonl([ENGLISH[3]]),
            "en/train.txt.gz": "\n\n".join([*ENGLISH, GERMAN[3]]).encode(),
        },
    )


def run(source: Path, model: Path, **options: Any) -> dict[str, Counts]:
    folders = (source.parent / "clean", source.parent / "removed")
    return filter_text(source, model, *folders, max_bad_fraction=0.5, **options)


def unpacked(path: Path) -> bytes:
    return zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in unpacked(path).splitlines()]


def test_documents_are_kept_as_they_are_or_removed_with_their_score(
    source: Path, model: Path
) -> None:
    counts = run(source, model)
    clean, removed = source.parent / "clean", source.parent / "removed"
    assert sorted(tree(clean)) == ["de/train.jsonl.zst", "en/train.txt.gz"]
    # Byte for byte, but for line ends.
    kept = unpacked(clean / "de/train.jsonl.zst")
    assert kept == LINE.replace(b"\r", b"") + record(MIXED, id="m") + jsonl(GERMAN[2:])
    text = gzip.decompress((clean / "en/train.txt.gz").read_bytes()).decode()
    assert text.strip().split("\n\n") == ENGLISH
    (gone,) = lines(removed / "de/train.jsonl.zst")
    assert 0 <= gone.pop("score") < 0.5
    assert gone == {
        "line": 4,
        "paragraph": None,
        "taken_for": "en",
        "text": FOREIGN,
        "fields": {"id": "f", "by": [1]},
    }
    (gone,) = lines(removed / "en/train.jsonl.zst")
    assert (gone["text"], gone["fields"], gone["taken_for"]) == (GERMAN[3], None, "de")
    assert "invalid JSON" in (removed / "de/train.quarantine.jsonl").read_text()
    german = counts["de"]
    assert (german.documents, german.kept, german.removed, german.undecided) == (10, 8, 2, 1)
    assert (german.taken_for, german.quarantined) == ({"en": 2}, {"invalid JSON": 1})
    report = json.loads((removed / "languages.json").read_text())
    assert report["de"]["removed_bytes"] == len(FOREIGN.encode()) + len(ENGLISH[3].encode())
    assert report["en"]["labels"] == ["en"]
    assert find_sources(clean)


def test_paragraphs_are_removed_one_by_one(source: Path, model: Path) -> None:
    counts = run(source, model, paragraphs=True)
    kept = lines(source.parent / "clean/de/train.jsonl.zst")
    assert kept[1] == {"id": "m", "text": "\n".join([GERMAN[0], "", "Ja.", GERMAN[1]])}
    first, second = lines(source.parent / "removed/de/train.jsonl.zst")
    assert (first["line"], first["paragraph"], first["text"]) == (3, 2, ENGLISH[0])
    # Of a document without any paragraph in its language the rest is not worth keeping.
    assert (second["line"], second["paragraph"], second["text"]) == (4, None, FOREIGN)
    german = counts["de"]
    assert (german.kept, german.shortened, german.removed) == (8, 1, 2)
    assert (german.paragraphs, german.removed_paragraphs) == (1 + 4 + 3 + 6 + 1, 1 + 3 + 1)
    assert german.documents == german.kept + german.removed


def test_nothing_is_lost_between_kept_and_removed(source: Path, model: Path) -> None:
    german = run(source, model, paragraphs=True)["de"]
    texts = [document["text"] for document in lines(source.parent / "clean/de/train.jsonl.zst")]
    size = sum(len(text.encode()) for text in texts)
    # A removed paragraph takes its line end along.
    assert size == german.bytes - german.removed_bytes - german.shortened


def test_thresholds_of_single_languages(source: Path, model: Path) -> None:
    everything = run(source, model)["en"].kept
    run(source, model, thresholds={"de": 1.0})
    report = json.loads((source.parent / "removed/languages.json").read_text())
    assert (report["de"]["threshold"], report["en"]["threshold"]) == (1.0, 0.5)
    assert report["en"]["kept"] == everything == 8
    for options, message in (
        ({"threshold": 1.5}, "threshold must be from 0 to 1, got 1.5 for de"),
        ({"thresholds": {"fr": 0.5}}, "thresholds name fr; the folders are de, en"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            run(source, model, **options)


def test_a_language_of_which_nothing_is_left_stops_the_rest_from_being_moved(
    source: Path, model: Path
) -> None:
    with pytest.raises(ValueError, match=r"nothing of en/train\.txt\.gz was kept \(9 documents"):
        run(source, model, labels={"en": "ja"})
    assert not tree(source.parent / "clean")
    assert not tree(source.parent / "removed")
    run(source, model)
    assert tree(source.parent / "clean")


def test_finished_files_are_kept_until_text_or_rule_change(
    source: Path, model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def redone() -> bool:
        return "3 of 3 files were filtered before" not in capsys.readouterr().err

    run(source, model)
    before = tree(source.parent / "clean")
    assert redone()
    run(source, model)
    assert not redone()
    run(source, model, paragraphs=True)
    assert redone()
    run(source, model)
    assert redone()
    assert tree(source.parent / "clean") == before
    (source / "de/train.jsonl.zst").write_bytes(packed("a.zst", jsonl(GERMAN)))
    run(source, model)
    assert "2 of 3 files were filtered before" in capsys.readouterr().err
    # Nothing of it is bad any more, or foreign.
    assert sorted(tree(source.parent / "removed")) == [
        *("de/validation.jsonl.zst", "en/train.jsonl.zst", "languages.json"),
    ]
    (source.parent / "clean/en/train.txt.gz").unlink()
    run(source, model)
    assert (source.parent / "clean/en/train.txt.gz").exists()


def test_several_processes_do_the_same(source: Path, model: Path) -> None:
    run(source, model, paragraphs=True)
    before = tree(source.parent / "clean"), tree(source.parent / "removed")
    for name in ("clean", "removed"):
        (source.parent / name).rename(source.parent / f"{name}-1")
    run(source, model, paragraphs=True, workers=2)
    assert (tree(source.parent / "clean"), tree(source.parent / "removed")) == before


def test_folders_of_others_are_refused(source: Path, model: Path) -> None:
    for out, removed in (("text/clean", "removed"), ("clean", "clean"), ("clean", "clean/removed")):
        with pytest.raises(ValueError, match="must lie beside each other"):
            filter_text(source, model, source.parent / out, source.parent / removed)
    (source.parent / "removed").mkdir()
    (source.parent / "removed/thesis.tex").write_text("precious")
    with pytest.raises(ValueError, match=r"removed holds thesis\.tex, which .* choose an empty"):
        run(source, model)


def test_a_killed_run_leaves_nothing_that_passes_for_whole(
    source: Path, model: Path, tmp_path: Path
) -> None:
    write_texts(source, {"en/train.txt.gz": ("\n\n".join(ENGLISH) + "\n\n").encode() * 20_000})
    clean = source.parent / "clean"
    words = ["--model", model, "--out", clean, "--removed", source.parent / "removed"]
    command = [sys.executable, "-m", "trainer.cli", "lid", "filter", source, *words]
    command += ["--max_bad_fraction", "0.5"]
    process = subprocess.Popen([str(word) for word in command], start_new_session=True)
    deadline = time.monotonic() + 60
    while not list(clean.glob(".filter/en/*.partial")) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert not tree(clean)
    assert not tree(source.parent / "removed")
    write_texts(source, {"en/train.txt.gz": "\n\n".join(ENGLISH).encode()})
    run(source, model)
    assert sorted(tree(clean)) == ["de/train.jsonl.zst", "en/train.txt.gz"]
    assert not list(clean.rglob("*.partial"))


def test_the_commands_take_thresholds_and_labels_by_folder(source: Path, model: Path) -> None:
    words = ["--model", model, "--out", source.parent / "clean"]
    words += ["--removed", source.parent / "removed", "--thresholds.de", "0.4"]
    words += ["--labels.en", "en+de", "--paragraphs", "true", "--max_bad_fraction", "0.5"]
    command = [sys.executable, "-m", "trainer.cli", "lid", "filter", source, *words]
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    report = json.loads((source.parent / "removed/languages.json").read_text())
    assert (report["de"]["threshold"], report["en"]["threshold"]) == (0.4, 0.5)
    assert (report["en"]["labels"], report["en"]["removed"]) == (["de", "en"], 0)
    done = subprocess.run(
        [sys.executable, "-m", "trainer.cli", "lid", "filtre"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.startswith("glotmix: no command 'lid filtre'; there are ")
