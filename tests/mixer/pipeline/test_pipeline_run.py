import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from texts import jsonl, packed, tree, words, write_texts

pytest.importorskip("datatrove", reason="the extra `prepare` is not installed")

from pipelines import READER, removed, run

from mixer.indexed import TokenShard
from mixer.manifest import Manifest
from mixer.prepare import prepare
from mixer.tokenizers import open_tokenizer

FILES: dict[str, Any] = {
    "de/train.jsonl.zst": ["eins", "zwei drei", "vier\nfünf", "<|endoftext|> im Text"],
    "de/validation.jsonl.gz": ["sechs"],
    "de/test.jsonl": ["sieben"],
    "sw/train.txt": b"moja\n\nmbili",
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "text", FILES)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "corpus"


def texts(out: Path, prefix: str) -> list[str]:
    manifest = Manifest.load(out)
    tokenizer = open_tokenizer(out, manifest.tokenizer, manifest.end_of_document)
    shard = TokenShard.open(out / prefix)
    return [
        tokenizer.decode(document)
        for document in np.split(shard.tokens, shard.document_bounds()[1:-1])
    ]


def stamps(out: Path) -> dict[str, int]:
    return {str(path.relative_to(out)): path.stat().st_mtime_ns for path in out.glob("*/*.bin")}


@pytest.mark.parametrize("tokenizer", ["byte", "bpe:280"])
def test_the_small_path_and_the_pipeline_write_the_same(
    tmp_path: Path, source: Path, out: Path, tokenizer: str
) -> None:
    prepare(source, tmp_path / "small", tokenizer, workers=1)
    name = "byte" if tokenizer == "byte" else str(tmp_path / "small/tokenizer.json")
    run(tmp_path, source, out, tokenizer=name)
    assert tree(out) == tree(tmp_path / "small")
    assert not (out / ".prepare/pipeline").exists()


def test_files_are_dealt_to_tasks_and_put_together_in_order(tmp_path: Path, out: Path) -> None:
    files = {f"de/train.{part}.jsonl": [f"{part}{n}" for n in range(3)] for part in "abc"}
    source = write_texts(tmp_path / "text", files)
    run(tmp_path, source, out, tasks=3)
    assert texts(out, "de/train") == [f"{part}{n}" for part in "abc" for n in range(3)]
    assert Manifest.load(out).domains["de"]["train"].source == f"{source} (3 files)"


def test_what_steps_remove_is_kept_and_counted(
    tmp_path: Path, source: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    steps = [
        {"class_path": "keepers.Judge", "init_args": {"against": "z"}},
        {
            "class_path": "datatrove.pipeline.filters.LambdaFilter",
            "init_args": {"filter_function": {"class_path": "keepers.long_enough"}},
        },
    ]
    run(tmp_path, source, out, steps=steps, columns=["score"])
    assert texts(out, "de/train") == ["vier\nfünf", "<|endoftext|> im Text"]
    (first,) = removed(out / "de/train.removed/1-Judge")
    assert (first["removed_by"], first["reason"], first["text"]) == (
        "1-Judge",
        "bad word",
        "zwei drei",
    )
    assert [one["text"] for one in removed(out / "de/train.removed/2-LambdaFilter")] == ["eins"]
    assert np.load(out / "de/train.score.scores.npy").tolist() == [4.5, 10.5]
    head, de, sw, *_ = capsys.readouterr().out.splitlines()
    assert "1-Judge  2-LambdaFilter  exact copies" in head
    assert de.split()[:8] == ["de", "6", "0", "1", "1", "0", "0", "4"]
    assert sw.split()[:8] == ["sw", "2", "0", "0", "1", "0", "0", "1"]


def test_a_domain_may_have_a_reader_and_steps_of_its_own(
    tmp_path: Path, source: Path, out: Path
) -> None:
    own = {"class_path": READER, "init_args": {"data_folder": str(source / "sw")}}
    step = {"class_path": "keepers.Judge", "init_args": {"against": "moja"}}
    domains = {"de": None, "swahili": {"reader": own, "steps": [step]}}
    run(tmp_path, source, out, domains=domains, splits=["train"])
    assert list(Manifest.load(out).domains) == ["de", "swahili"]
    assert texts(out, "swahili/train") == ["mbili"]
    assert len(texts(out, "de/train")) == 4


def test_what_is_finished_is_kept(tmp_path: Path, source: Path, out: Path) -> None:
    run(tmp_path, source, out)
    before = stamps(out)
    (out / "mixture.json").unlink()
    run(tmp_path, source, out)
    assert stamps(out) == before
    assert Manifest.load(out).domains["de"]["train"].documents == 4
    write_texts(source, {"sw/train.txt": b"tatu"})
    run(tmp_path, source, out)
    assert {name for name, stamp in stamps(out).items() if stamp != before[name]} == {
        "sw/train.bin"
    }
    step = {"class_path": "keepers.Judge", "init_args": {"against": "z"}}
    run(tmp_path, source, out, steps=[step])
    assert not set(stamps(out).items()) & set(before.items())


def test_bad_documents_are_listed_and_counted(
    tmp_path: Path, source: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = jsonl(["gut"] * 300) + b'{"body": "x"}\nrubbish\n{"text": "a\\u0000"}\n'
    write_texts(source, {"de/train.jsonl.zst": lines})
    run(tmp_path, source, out, max_bad_fraction=0.02)
    entry = Manifest.load(out).domains["de"]["train"]
    assert entry.quarantined == {"no text": 1, "invalid JSON": 1, "NUL character": 1}
    assert entry.documents == 300
    records = (out / "de/train.quarantine.jsonl").read_text().splitlines()
    assert [json.loads(record)["line"] for record in records] == [301, 302, 303]
    assert capsys.readouterr().out.splitlines()[1].split()[:3] == ["de", "305", "3"]


@pytest.mark.parametrize("name", ["train.jsonl.gz", "train.jsonl.zst"])
def test_a_cut_file_is_loud(
    tmp_path: Path, out: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    content = jsonl([words(seed, 20) for seed in range(500)])
    whole = packed(name, content) + packed(name, content)
    source = write_texts(tmp_path / "text", {"de/other.txt": b""})
    (source / "de" / name).write_bytes(whole[:-10])
    run(tmp_path, source, out)
    entry = Manifest.load(out).domains["de"]["train"]
    assert entry.quarantined == {"truncated": 1}
    assert entry.documents >= 500
    assert "is cut short (truncated): what comes after is lost" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"de/train.jsonl.zst": b"x", "sw/train.txt": b"a"}, "de/train"),
        ({"de/test.jsonl": packed(".gz", b"x")}, "de/test cannot be read: .* is compressed; name"),
        ({"de/test.jsonl": b"x\n"}, r"de/test .*1 of 1 documents are bad \(1 x invalid JSON"),
        ({"sw/train.txt": b" \n"}, "sw/train is left with no documents of 0"),
        ({"xx/test.jsonl": ["a"]}, "domain 'xx' has no train split"),
    ],
)
def test_text_that_cannot_be_prepared(
    tmp_path: Path, source: Path, out: Path, files: dict[str, Any], message: str
) -> None:
    write_texts(source, files)
    if files.get("de/train.jsonl.zst"):
        (source / "de/train.jsonl.zst").write_bytes(b"no zstd at all")
    with pytest.raises(ValueError, match=message):
        run(tmp_path, source, out)
    assert not (out / "mixture.json").exists()
