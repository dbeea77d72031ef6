import os
from pathlib import Path

import pytest
from texts import write_texts

from mixer.sources import find_sources

FILES = {
    "de/train.jsonl.zst": ["a"],
    "de/validation.txt": b"b",
    "de/test.jsonl.gz": ["c"],
    "sw/train.txt.zst": b"d",
}


def test_domains_splits_and_remarks(tmp_path: Path) -> None:
    write_texts(tmp_path, FILES | {"README.md": b"x", "sw/LICENSE.txt": b"x", ".git/train.x": b"x"})
    write_texts(tmp_path, {"sw/.train.jsonl.swp": b"x"})
    (tmp_path / "sw/test.txt").touch()
    sources, remarks = find_sources(tmp_path)
    found = [(source.domain, source.split, source.path.name) for source in sources]
    assert found == [
        ("de", "train", "train.jsonl.zst"),
        ("de", "validation", "validation.txt"),
        ("de", "test", "test.jsonl.gz"),
        ("sw", "train", "train.txt.zst"),
    ]
    assert all(source.size == source.path.stat().st_size for source in sources)
    assert remarks == [
        "ignored README.md: not in a domain's folder",
        "ignored sw/LICENSE.txt: no split is called that",
        "sw has no validation split",
        "left out sw/test.txt: it is empty",
    ]


def test_links_are_followed(tmp_path: Path) -> None:
    write_texts(tmp_path / "store", {"german/part-1.jsonl": ["a"]})
    (tmp_path / "store/german/train.jsonl").symlink_to("part-1.jsonl")
    (tmp_path / "text").mkdir()
    (tmp_path / "text/de").symlink_to(tmp_path / "store/german")
    (source,), _ = find_sources(tmp_path / "text")
    assert (source.domain, source.split) == ("de", "train")


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "holds no domains; it should hold a folder per language"),
        ({"train.jsonl": ["a"]}, "holds no domains"),
        ({"de/test.txt": b"a"}, "domain 'de' has no train split; put train"),
        ({"de/train.parquet": b"a"}, "train.parquet is in no format that is read; they are .jsonl"),
        ({"de/train.jsonl.bz2": b"a"}, "is in no format that is read"),
        ({"de/train": b"a"}, "is in no format that is read"),
        (
            {"de/train.jsonl": ["a"], "de/train.jsonl.gz": ["a"]},
            "'de' has two files for train, train.jsonl and train.jsonl.gz; remove one or join",
        ),
        ({"de/train.jsonl": b""}, "train.jsonl is empty; put text into it or take .*de away"),
        ({"de/train.jsonl/x": b""}, "should be a text file, it is a folder"),
        ({"d e/train.jsonl": b"a"}, "a domain's name must be letters"),
    ],
)
def test_what_cannot_be_prepared(tmp_path: Path, files: dict[str, bytes], message: str) -> None:
    write_texts(tmp_path, files)
    with pytest.raises(ValueError, match=message):
        find_sources(tmp_path)


def test_things_that_are_no_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no folder"):
        find_sources(tmp_path / "missing")
    write_texts(tmp_path, FILES)
    os.mkfifo(tmp_path / "sw/test.txt")
    with pytest.raises(ValueError, match="should be a text file, it is no file"):
        find_sources(tmp_path)
    (tmp_path / "sw/test.txt").unlink()
    (tmp_path / "sw/test.txt").symlink_to("missing")
    with pytest.raises(ValueError, match="should be a text file, it is a link to nothing"):
        find_sources(tmp_path)
    (tmp_path / "sw/test.txt").unlink()
    (tmp_path / "zz").symlink_to("missing")
    with pytest.raises(ValueError, match="zz is a link to nothing"):
        find_sources(tmp_path)


def test_a_file_that_changes_is_noticed(tmp_path: Path) -> None:
    sources, _ = find_sources(write_texts(tmp_path, FILES))
    sources[0].check_unchanged()
    write_texts(tmp_path, {"de/train.jsonl.zst": ["a", "b"]})
    with pytest.raises(ValueError, match="changed while it was read"):
        sources[0].check_unchanged()
