import json
from contextlib import suppress
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from texts import jsonl, packed

from mixer.documents import LONGEST_LINE, SUFFIXES, read_documents
from mixer.quarantine import Quarantine


def read(path: Path, start: int = 0, stop: int | None = None) -> tuple[list[str], Quarantine]:
    quarantine = Quarantine(path.name, 1)
    return [document.text for document in read_documents(path, quarantine, start, stop)], quarantine


def read_bytes(folder: Path, name: str, content: bytes) -> tuple[list[str], list[tuple[int, str]]]:
    path = folder / name
    path.write_bytes(packed(name, content))
    texts, quarantine = read(path)
    assert quarantine.seen == len(texts) + quarantine.counts.total()
    return texts, [(entry.line, entry.reason) for entry in quarantine.entries]


texts_of_any_kind = st.lists(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=50).filter(str.strip)
)


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if "jsonl" in suffix])
@settings(max_examples=50, deadline=None)
@given(texts=texts_of_any_kind)
def test_texts_come_back_whatever_is_in_them(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, texts: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("text")
    assert read_bytes(folder, f"a{suffix}", jsonl(texts)) == (texts, [])
    plain = "".join(json.dumps({"text": text}, ensure_ascii=False) + "\n" for text in texts)
    assert read_bytes(folder, f"a{suffix}", plain.encode()) == (texts, [])


@pytest.mark.parametrize("suffix", [suffix for suffix in SUFFIXES if "txt" in suffix])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_paragraphs(tmp_path: Path, suffix: str, end: str) -> None:
    content = end.join(["", "one", "line two", "", " ", "two ", "", "three"])
    expected = ["one\nline two", "two ", "three"]
    assert read_bytes(tmp_path, f"a{suffix}", content.encode()) == (expected, [])
    path = tmp_path / f"a{suffix}"
    documents = list(read_documents(path, Quarantine("a", 0)))
    assert [document.line for document in documents] == [2, 6, 8]
    assert [document.num_bytes for document in documents] == [12, 4, 5]


def test_byte_order_mark_and_windows_lines(tmp_path: Path) -> None:
    content = b"\xef\xbb\xbf" + b'{"text": "a\\r\\nb"}\r\n\r\n{"text": "c"}'
    assert read_bytes(tmp_path, "a.jsonl", content) == (["a\r\nb", "c"], [])
    assert read_bytes(tmp_path, "a.txt", b"\xef\xbb\xbfone\r\n") == (["one"], [])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"text": "cut', "invalid JSON"),
        (b"rubbish", "invalid JSON"),
        (b"{" * 100_000, "invalid JSON"),
        (b"[" * 100_000, "invalid JSON"),
        (b"1" * 10_000, "invalid JSON"),
        (b"[1]", "no JSON object"),
        (b'"text"', "no JSON object"),
        (b"{}", "no text"),
        (b'{"body": "x", "id": 3}', "no text"),
        (b'{"text": null}', "text is no string"),
        (b'{"text": ["x"]}', "text is no string"),
        (b'{"text": ""}', "empty text"),
        (b'{"text": " \\n\\u3000"}', "empty text"),
        (b'{"text": "a\\u0000b"}', "NUL character"),
        (b'{"text": "a\0b"}', "NUL character"),
        (b"\0" * 100, "NUL character"),
        (b'{"text": "\\ud800"}', "lone surrogate"),
        (b'{"text": "\xff\xfe"}', "invalid UTF-8"),
        (b'{"text": "\xed\xa0\x80"}', "invalid UTF-8"),
        (b'{"text": "' + b"x" * LONGEST_LINE + b'"}', "too long"),
    ],
)
def test_bad_lines_are_set_aside(tmp_path: Path, line: bytes, reason: str) -> None:
    content = b'{"text": "before"}\n' + line + b'\n{"text": "after"}\n'
    assert read_bytes(tmp_path, "a.jsonl", content) == (["before", "after"], [(2, reason)])
    assert read_bytes(tmp_path, "a.jsonl", line)[1] == [(1, reason)]


def test_bad_paragraphs_are_set_aside_whole(tmp_path: Path) -> None:
    long = b"x" * 1000 + b"\n"
    content = b"a\n\xff\nb\n\nc\n\nd\n\0\n\n" + long * (LONGEST_LINE // 1000) + b"\ne"
    bad = [(1, "invalid UTF-8"), (7, "NUL character"), (10, "too long")]
    assert read_bytes(tmp_path, "a.txt", content) == (["c", "e"], bad)
    content = b"a\n" + b"x" * (LONGEST_LINE + 1) + b"\nb\n\nc"
    assert read_bytes(tmp_path, "a.txt", content) == (["c"], [(1, "too long")])


def test_a_line_just_short_enough(tmp_path: Path) -> None:
    text = "x" * (LONGEST_LINE - len('{"text": ""}'))
    assert read_bytes(tmp_path, "a.jsonl.zst", jsonl([text])) == ([text], [])


@pytest.mark.parametrize("name", ["a.jsonl.zst", "a.jsonl.gz", "a.txt.zst", "a.txt.gz"])
def test_a_cut_file_is_one_entry_and_what_was_whole_is_kept(tmp_path: Path, name: str) -> None:
    texts = [f"document {number * 7919}" for number in range(50_000)]
    content = jsonl(texts) if "jsonl" in name else "\n\n".join(texts).encode()
    path = tmp_path / name
    path.write_bytes(packed(name, content)[:-5000])
    read_texts, quarantine = read(path)
    assert 1000 < len(read_texts) < len(texts)
    # The line at the cut is dropped even if the part before the cut could be read as a document.
    assert read_texts == texts[: len(read_texts)]
    (entry,) = quarantine.entries
    assert entry.reason == "truncated"
    assert entry.line >= len(read_texts) + 1


@pytest.fixture(scope="module")
def cut_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of each kind in several frames, the last of them cut, some lines bad."""
    folder = tmp_path_factory.mktemp("cut")
    texts = [f"document {number**5}" * (number % 3 + 1) for number in range(200)]
    for suffix in SUFFIXES:
        content = "\n\n".join(texts).encode()
        if "jsonl" in suffix:
            content = b"bad\n" + jsonl(texts[:100]) + b"bad\n" + jsonl(texts[100:])
        frames = [packed(suffix, content[at : at + 2000]) for at in range(0, len(content), 2000)]
        (folder / f"a{suffix}").write_bytes(b"".join(frames)[:-20])
    return folder


@settings(deadline=None, max_examples=50)
@given(cuts=st.lists(st.integers(0, 3000), max_size=4), suffix=st.sampled_from(SUFFIXES))
def test_parts_of_a_file_are_the_file(cut_files: Path, cuts: list[int], suffix: str) -> None:
    path = cut_files / f"a{suffix}"
    with pytest.MonkeyPatch.context() as patch:
        for size in ("CHUNK", "ZSTD_FEED", "GZIP_FEED"):
            patch.setattr(f"mixer.compressed.{size}", 64)
        whole, bad = read(path)
        parts = [read(path, *bounds) for bounds in pairwise([0, *sorted(cuts), 100_000])]
    assert len(whole) > 100
    assert [text for texts, _ in parts for text in texts] == whole
    assert [entry for _, part in parts for entry in part.entries] == bad.entries
    assert sum(part.seen for _, part in parts) == bad.seen


@settings(deadline=None)
@given(
    suffix=st.sampled_from(SUFFIXES),
    where=st.floats(0, 1),
    junk=st.binary(max_size=30),
    removed=st.integers(0, 30),
)
def test_spoilt_files_break_nothing(
    cut_files: Path, suffix: str, where: float, junk: bytes, removed: int
) -> None:
    content = (cut_files / f"a{suffix}").read_bytes()
    at = int(where * len(content))
    path = cut_files / f"spoilt{suffix}"
    path.write_bytes(content[:at] + junk + content[at + removed :])
    # A ValueError is for files that are not what their names say.
    with suppress(ValueError):
        texts, quarantine = read(path)
        assert len(texts) + quarantine.counts.total() == quarantine.seen


def test_a_file_of_nothing_but_bad_lines_stops(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"rubbish\n" * 1_000_000)
    with pytest.raises(ValueError, match="1000 of 1000 documents are bad"):
        list(read_documents(path, Quarantine("a.jsonl", 0.5)))


def test_an_unreadable_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing.jsonl")
