import json
from pathlib import Path
from typing import Any

import pytest

from mixer.manifest import FILE_NAME, Manifest, SplitEntry, check_domain_name


def entry(**changes: Any) -> SplitEntry:
    return SplitEntry(**{"prefix": "de/train", "tokens": 3, "bytes": 2, "documents": 1} | changes)


def manifest(**changes: Any) -> Manifest:
    full = entry(
        source="text/de/train.jsonl.zst",
        checksum="blake2b:" + "0f" * 20,
        quarantined={"no text": 2},
        largest_token=256,
    )
    settings = {
        "tokenizer": "byte",
        "vocab_size": 257,
        "end_of_document": 256,
        "domains": {"de": {"train": full}, "中文": {"train": entry(prefix="zh_train")}},
    }
    return Manifest(**settings | changes)


def test_saved_is_loaded(tmp_path: Path) -> None:
    manifest().save(tmp_path)
    assert Manifest.load(tmp_path) == manifest()
    assert Manifest.load(tmp_path).names == ("de", "中文")
    assert [path.name for path in tmp_path.iterdir()] == [FILE_NAME]


def test_an_entry_needs_no_more_than_its_counts(tmp_path: Path) -> None:
    document = {
        "format": "glotmix-corpus",
        "version": 1,
        "tokenizer": "",
        "vocab_size": 5,
        "end_of_document": None,
        "domains": {"de": {"train": {"prefix": "a", "tokens": 1, "bytes": 0, "documents": 1}}},
    }
    (tmp_path / FILE_NAME).write_text(json.dumps(document))
    loaded = Manifest.load(tmp_path).domains["de"]["train"]
    assert (loaded.checksum, loaded.largest_token, dict(loaded.quarantined)) == ("", None, {})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prefix": "/etc/passwd"}, "prefix must stay inside the corpus folder"),
        ({"prefix": "../other/train"}, "prefix must stay inside the corpus folder"),
        ({"prefix": ""}, "prefix must stay inside the corpus folder"),
        ({"tokens": -1}, "tokens of de/train must be a count, got -1"),
        ({"bytes": 1.5}, "bytes of de/train must be a count, got 1.5"),
        ({"documents": None}, "documents of de/train must be a count, got None"),
        ({"checksum": "md5:0"}, "checksum of de/train must be 'blake2b:'"),
        ({"largest_token": -1}, "largest_token of de/train must be a count or None, got -1"),
    ],
)
def test_entries_that_break_a_rule(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        entry(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"vocab_size": 0}, "vocab_size must be at least 1, got 0"),
        ({"domains": {}}, "at least one domain"),
        ({"domains": {"de": {"dev": entry()}}}, "split of de must be one of .*, got 'dev'"),
        ({"domains": {"a b": {"train": entry()}}}, "domain's name"),
        ({"vocab_size": 256, "end_of_document": 0}, "below vocab_size 256, de/train holds 256"),
        ({"end_of_document": 257}, "end_of_document must be below vocab_size 257, got 257"),
    ],
)
def test_manifests_that_break_a_rule(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        manifest(**changes)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "-x", "a\n", "..", "a:b"])
def test_names_that_are_no_domain(name: str) -> None:
    with pytest.raises(ValueError, match="a domain's name must be letters"):
        check_domain_name(name)


@pytest.mark.parametrize("name", ["de", "zh-hant", "deu_Latn", "c++", "en.wiki", "中文"])
def test_names_of_domains(name: str) -> None:
    check_domain_name(name)


def test_no_manifest(tmp_path: Path) -> None:
    with pytest.raises(
        ValueError, match=r"holds no mixture\.json; make one with `glotmix prepare`"
    ):
        Manifest.load(tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": "x"}, "not a corpus manifest"),
        ({"version": 2}, "version must be 1, got 2"),
        ({"vocab_size": 0}, "vocab_size must be at least 1"),
        ({"domains": []}, "not a complete manifest"),
        ({"domains": {"de": {"train": {"prefix": "a"}}}}, "not a complete manifest"),
        ({"domains": {"de": {"train": {"prefx": "a"}}}}, "unknown keys .'prefx'.; known are"),
        ({"end_of_document": "x"}, "end_of_document must be"),
    ],
)
def test_files_that_are_no_manifest(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    manifest().save(tmp_path)
    path = tmp_path / FILE_NAME
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(ValueError, match=message):
        Manifest.load(tmp_path)


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe{", b"[" * 100_000])
def test_rubbish_is_no_manifest(tmp_path: Path, content: bytes) -> None:
    (tmp_path / FILE_NAME).write_bytes(content)
    with pytest.raises(ValueError, match=r"is not JSON|not a corpus manifest"):
        Manifest.load(tmp_path)


@pytest.mark.parametrize("missing", ["tokenizer", "vocab_size", "end_of_document", "domains"])
def test_what_is_missing_is_named(tmp_path: Path, missing: str) -> None:
    manifest().save(tmp_path)
    path = tmp_path / FILE_NAME
    document = json.loads(path.read_text())
    del document[missing]
    path.write_text(json.dumps(document))
    with pytest.raises(ValueError, match=f"not a complete manifest: .*{missing}"):
        Manifest.load(tmp_path)
