import json
from pathlib import Path
from typing import Any

import pytest
from texts import jsonl, packed, write_texts

pytest.importorskip("datatrove", reason="the extra `prepare` is not installed")

from datatrove.pipeline.readers import JsonlReader
from pipelines import run

from mixer.indexed import TokenShard
from mixer.manifest import Manifest
from mixer.pipeline.text_reader import TextReader


def reader(name: str, folder: Path, **arguments: Any) -> dict[str, Any]:
    path = f"datatrove.pipeline.readers.{name}"
    return {"class_path": path, "init_args": {"data_folder": str(folder), **arguments}}


def parquet(path: Path, texts: list[str]) -> None:
    pyarrow = pytest.importorskip("pyarrow", reason="the extra `prepare` is not installed")
    from pyarrow.parquet import write_table

    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(pyarrow.table({"content": texts, "id": [str(n) for n in range(len(texts))]}), path)


def test_parquet(tmp_path: Path) -> None:
    parquet(tmp_path / "text/de/train-0.parquet", ["eins", " ", "zwei"])
    settings = {
        "reader": reader("ParquetReader", tmp_path / "text/{domain}", text_key="content"),
        "splits": ["train"],
        "max_bad_fraction": 0.5,
    }
    run(tmp_path, tmp_path / "text", tmp_path / "out", **settings)
    tokens = TokenShard.open(tmp_path / "out/de/train").tokens
    assert tokens.tolist() == [*b"eins", 256, *b"zwei", 256]
    assert Manifest.load(tmp_path / "out").domains["de"]["train"].quarantined == {"empty text": 1}
    with pytest.raises(ValueError, match=r"de/train: 1 of 3 documents are bad \(1 x empty text"):
        run(tmp_path, tmp_path / "text", tmp_path / "out", **settings | {"max_bad_fraction": 0.1})


@pytest.mark.parametrize("name", ["ParquetReader", "JsonlReader"])
def test_a_file_that_another_reader_cannot_read_is_told(tmp_path: Path, name: str) -> None:
    suffix = "parquet" if name == "ParquetReader" else "jsonl.gz"
    path = tmp_path / f"text/de/train.{suffix}"
    if name == "ParquetReader":
        parquet(path, ["eins"] * 100)
    else:
        write_texts(tmp_path / "text", {"de/train.jsonl.gz": ["eins"] * 100})
    path.write_bytes(path.read_bytes()[:-20])
    settings = {"reader": reader(name, tmp_path / "text/{domain}"), "splits": ["train"]}
    with pytest.raises(ValueError, match="de/train cannot be read: "):
        run(tmp_path, tmp_path / "text", tmp_path / "out", **settings)


def test_identifiers_and_other_fields_are_kept(tmp_path: Path) -> None:
    lines = [{"id": "a", "text": "eins", "url": "x"}, {"text": "zwei", "metadata": {"n": 1}}]
    content = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    write_texts(tmp_path, {"de/train.jsonl.zst": content})
    first, second = TextReader(str(tmp_path / "de")).run()
    assert (first.id, first.text, first.metadata["url"]) == ("a", "eins", "x")
    assert (second.id, second.metadata["n"]) == ("train.jsonl.zst/1", 1)
    assert second.metadata["file_path"] == str(tmp_path / "de/train.jsonl.zst")


def test_what_the_other_reader_of_lines_takes_for_whole(tmp_path: Path) -> None:
    """The reason for a reader of our own: if this fails, datatrove's has become as careful."""
    texts = [f"{n} {'x' * n}" for n in range(200)]
    cut = packed("a.zst", jsonl(texts)) + packed("a.zst", jsonl(texts))[:-9]
    write_texts(tmp_path, {"de/train.jsonl": jsonl(["eins"]) + b"rubbish\n"})
    (tmp_path / "de/train.jsonl.zst").write_bytes(cut)
    assert len(list(JsonlReader(str(tmp_path / "de"), glob_pattern="*.zst").run())) < 400
    assert [
        document.text
        for document in JsonlReader(str(tmp_path / "de"), glob_pattern="*.jsonl").run()
    ] == ["eins"]
    careful = TextReader(str(tmp_path / "de"), glob_pattern="*.jsonl")
    with pytest.raises(ValueError, match=r"1 of 2 documents are bad .* at line 2: invalid JSON"):
        list(careful.run())


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[1]", "no JSON object"),
        (b'{"text": 3}', "text is no string"),
        (b'{"text": ""}', "no text"),
        (b'{"text": " "}', "empty text"),
        (b'{"text": "\xff"}', "invalid UTF-8"),
        (b'{"text": "\\ud800"}', "invalid JSON"),
        (b"[" * 100_000, "invalid JSON"),
        (b'{"text": "' + b"x" * (17 << 20) + b'"}', "too long"),
    ],
)
def test_lines_that_are_no_documents(tmp_path: Path, line: bytes, reason: str) -> None:
    write_texts(tmp_path, {"de/train.jsonl": jsonl(["gut"]) + line + b"\n\n" + jsonl(["auch"])})
    read = TextReader(str(tmp_path / "de"), max_bad_fraction=0.5, quarantine_folder=str(tmp_path))
    assert [document.text for document in read.run()] == ["gut", "auch"]
    (record,) = (tmp_path / "00000-00000.jsonl").read_text().splitlines()
    assert (json.loads(record)["line"], json.loads(record)["reason"]) == (2, reason)


def test_other_places_are_for_other_readers() -> None:
    with pytest.raises(ValueError, match=r"must be a local folder, got memory://x; for URLs there"):
        TextReader("memory://x")
