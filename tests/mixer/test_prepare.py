import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from texts import jsonl, packed, tree, words, write_texts
from tokenizers import Tokenizer as Backend
from tokenizers import models

from mixer.corpus_table import corpus_table
from mixer.indexed import TokenShard, bin_path, idx_path
from mixer.manifest import Manifest
from mixer.prepare import prepare
from mixer.tokenizers import open_tokenizer

ROOT = Path(__file__).parents[2]
REAL = ROOT.parent / "shared/corpora/phpdoc"
GERMAN = ["eins", "zwei drei", "vier\nfünf"]
SWAHILI = ["moja", "mbili"]
FILES: dict[str, Any] = {
    "de/train.jsonl.zst": GERMAN,
    "de/validation.jsonl.gz": ["sechs"],
    "de/test.jsonl": ["sieben"],
    "sw/train.txt": "\n\n".join(SWAHILI).encode(),
}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_texts(tmp_path / "text", FILES)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "corpus"


def documents(out: Path, domain: str, split: str = "train") -> list[str]:
    """The texts of a shard, each of which must be closed by the end-of-document token."""
    manifest = Manifest.load(out)
    tokenizer = open_tokenizer(out, manifest.tokenizer, manifest.end_of_document)
    shard = TokenShard.open(out / manifest.domains[domain][split].prefix)
    pieces = np.split(shard.tokens, shard.document_bounds()[1:-1])
    assert all(piece[-1] == manifest.end_of_document for piece in pieces)
    return [tokenizer.decode(piece[:-1]) for piece in pieces]


def stamps(out: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in sorted(out.glob("*/*.bin"))}


def test_bytes(source: Path, out: Path) -> None:
    manifest = prepare(source, out, workers=1)
    assert manifest == Manifest.load(out)
    assert (manifest.tokenizer, manifest.vocab_size, manifest.end_of_document) == ("byte", 257, 256)
    assert {name: list(splits) for name, splits in manifest.domains.items()} == {
        "de": ["train", "validation", "test"],
        "sw": ["train"],
    }
    assert documents(out, "de") == GERMAN
    assert documents(out, "de", "validation") == ["sechs"]
    assert documents(out, "sw") == SWAHILI
    entry = manifest.domains["de"]["train"]
    size = sum(len(text.encode()) for text in GERMAN)
    assert (entry.documents, entry.bytes, entry.tokens) == (3, size, size + 3)
    assert entry.source == str(source / "de/train.jsonl.zst")
    assert entry.largest_token == 256
    assert not entry.quarantined


def test_the_report(source: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    prepare(source, out, workers=1)
    table = capsys.readouterr().out.splitlines()
    assert table[0].split() == [
        *("domain", "documents", "MB", "of", "text"),
        *("tokens", "bytes/token", "quarantined"),
    ]
    assert table[2].split() == ["sw", "2", "0.00", "11", "0.82", "0"]
    assert table[3].split()[:2] == ["all", "7"]
    assert "sw has no validation split" in table
    assert "sw has no test split" in table
    assert table[-1].endswith("s; tokenizer byte of 257 tokens")


@pytest.mark.parametrize("tokenizer", ["byte", "bpe:300"])
def test_processes_parts_and_tokens_do_not_change_the_result(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tokenizer: str
) -> None:
    texts = {f"d{n}/train.jsonl": [words(n * 100 + i, 30) for i in range(60)] for n in range(3)}
    texts["d0/train.jsonl"] *= 5
    source = write_texts(tmp_path / "text", texts)
    with (source / "d0/train.jsonl").open("a") as file:
        file.write("bad\n")
    prepare(source, tmp_path / "one", tokenizer, workers=1)
    monkeypatch.setattr("mixer.prepare.SMALLEST_PART", 1000)
    prepare(source, tmp_path / "two", tokenizer, workers=2)
    assert tree(tmp_path / "one") == tree(tmp_path / "two")
    assert not list((tmp_path / "two/.prepare").rglob("*-of-*"))
    assert documents(tmp_path / "two", "d1") == texts["d1/train.jsonl"]


def test_a_learnt_tokenizer_is_kept_until_the_text_changes(source: Path, out: Path) -> None:
    manifest = prepare(source, out, "bpe:270", workers=1)
    assert (manifest.tokenizer, manifest.end_of_document) == ("tokenizer.json", 0)
    assert 257 <= manifest.vocab_size <= 270
    assert documents(out, "de") == GERMAN
    before = (out / "tokenizer.json").stat().st_mtime_ns
    prepare(source, out, "bpe:270", workers=1)
    assert (out / "tokenizer.json").stat().st_mtime_ns == before
    write_texts(source, {"de/test.jsonl": ["only train splits count"]})
    prepare(source, out, "bpe:270", workers=1)
    assert (out / "tokenizer.json").stat().st_mtime_ns == before
    for change in ({"seed": 1}, {"end_of_document": "<end>"}):
        prepare(source, out, "bpe:270", workers=1, **change)
        assert (out / "tokenizer.json").stat().st_mtime_ns != before
        before = (out / "tokenizer.json").stat().st_mtime_ns
    write_texts(source, {"sw/train.txt": b"tatu " * 100})
    prepare(source, out, "bpe:270", workers=1)
    assert (out / "tokenizer.json").stat().st_mtime_ns != before


def test_a_tokenizer_that_exists(source: Path, out: Path, tmp_path: Path) -> None:
    prepare(source, tmp_path / "first", "bpe:270", workers=1)
    prepare(source, out, str(tmp_path / "first"), workers=1)
    assert tree(out) == tree(tmp_path / "first")
    prepare(source, out, str(out / "tokenizer.json"), workers=1)
    assert tree(out) == tree(tmp_path / "first")


def test_the_end_of_document_can_be_named(source: Path, out: Path, tmp_path: Path) -> None:
    backend = Backend(models.BPE({"e": 0, "<end>": 1, "<0>": 2}, [], unk_token="<0>"))
    backend.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ValueError, match=r"none of the tokens .* name one of its tokens by end_of"):
        prepare(source, out, str(tmp_path), workers=1)
    assert not (out / "tokenizer.json").exists()
    manifest = prepare(source, out, str(tmp_path), workers=1, end_of_document="<end>")
    assert manifest.end_of_document == 1
    assert TokenShard.open(out / "sw/train").tokens[-1] == 1


def test_what_is_finished_is_kept(
    source: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    prepare(source, out, workers=1)
    before = stamps(out)
    prepare(source, out, workers=1)
    assert stamps(out) == before
    assert "4 of 4 files were prepared before and are kept" in capsys.readouterr().err


def add_document(source: Path, out: Path) -> None:
    write_texts(source, {"sw/train.txt": b"tatu"})


def touch(source: Path, out: Path) -> None:
    os.utime(source / "sw/train.txt", (1, 1))


def cut_tokens(source: Path, out: Path) -> None:
    os.truncate(bin_path(out / "sw/train"), 4)


def remove_index(source: Path, out: Path) -> None:
    idx_path(out / "sw/train").unlink()


def spoil_receipt(source: Path, out: Path) -> None:
    (out / ".prepare/sw/train.json").write_text('{"entries": [')


def cut_receipt(source: Path, out: Path) -> None:
    (out / ".prepare/sw/train.json").write_text('{"entries": []}')


CHANGES = [add_document, touch, cut_tokens, remove_index, spoil_receipt, cut_receipt]


@pytest.mark.parametrize("change", CHANGES)
def test_what_is_not_as_it_was_is_done_again(
    source: Path, out: Path, change: Callable[[Path, Path], None]
) -> None:
    prepare(source, out, workers=1)
    before = stamps(out)
    change(source, out)
    prepare(source, out, workers=1)
    changed = {path for path, stamp in stamps(out).items() if stamp != before[path]}
    assert changed == {str(out / "sw/train.bin")}
    expected = ["tatu"] if change is add_document else SWAHILI
    assert documents(out, "sw") == expected


def test_another_tokenizer_does_everything_again(source: Path, out: Path) -> None:
    prepare(source, out, "bpe:270", workers=1)
    prepare(source, out, "byte", workers=1)
    assert documents(out, "de") == GERMAN
    assert Manifest.load(out).tokenizer == "byte"
    prepare(source, out, "bpe:270", workers=1)
    assert documents(out, "de") == GERMAN


def test_bad_documents_are_listed(source: Path, out: Path) -> None:
    lines = jsonl(["good"] * 300) + b'{"body": "x"}\n' + b"rubbish\n"
    write_texts(source, {"de/train.jsonl.zst": lines})
    manifest = prepare(source, out, workers=1)
    assert manifest.domains["de"]["train"].quarantined == {"no text": 1, "invalid JSON": 1}
    records = (out / "de/train.quarantine.jsonl").read_text().splitlines()
    first = json.loads(records[0])
    assert (first["file"], first["line"]) == ("de/train.jsonl.zst", 301)
    assert first["reason"] == "no text"
    write_texts(source, {"de/train.jsonl.zst": GERMAN})
    prepare(source, out, workers=1)
    assert not (out / "de/train.quarantine.jsonl").exists()


def test_too_many_bad_documents_stop_one_file_not_the_others(source: Path, out: Path) -> None:
    write_texts(
        source, {"de/train.jsonl.zst": jsonl(["good"] * 9) + b"bad\n", "sw/test.txt": b"\0"}
    )
    with pytest.raises(ValueError, match="2 of 5 files could not be prepared") as error:
        prepare(source, out, workers=1)
    assert "de/train.jsonl.zst: 1 of 10 documents are bad (1 x invalid JSON" in str(error.value)
    assert "sw/test.txt: 1 of 1 documents are bad (1 x NUL character" in str(error.value)
    assert not (out / "mixture.json").exists()
    before = stamps(out)
    assert str(out / "sw/train.bin") in before
    (source / "sw/test.txt").unlink()
    prepare(source, out, workers=1, max_bad_fraction=0.1)
    assert before.items() <= stamps(out).items()
    with pytest.raises(ValueError, match=r"1 of 10 documents are bad .* max_bad_fraction 0\.05"):
        prepare(source, out, workers=1, max_bad_fraction=0.05)


def test_a_cut_file_is_loud(source: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    texts = [words(seed, 20) for seed in range(1000)]
    whole = packed("a.zst", jsonl(texts[:500])) + packed("a.zst", jsonl(texts[500:]))
    (source / "de/train.jsonl.zst").write_bytes(whole[:-10])
    manifest = prepare(source, out, workers=1)
    assert manifest.domains["de"]["train"].quarantined == {"truncated": 1}
    assert documents(out, "de") == texts[:500]
    warning = "de/train.jsonl.zst is cut short (truncated): what comes after is lost"
    assert warning in capsys.readouterr().out
    assert "WARNING" in corpus_table(manifest)


def test_a_bomb_is_one_bad_document(source: Path, out: Path) -> None:
    content = jsonl(["good"] * 200) + bytes(100 << 20)
    write_texts(source, {"de/train.jsonl.zst": content})
    manifest = prepare(source, out, workers=1)
    assert manifest.domains["de"]["train"].quarantined == {"decompression bomb": 1}
    assert documents(out, "de") == ["good"] * 200


def test_a_split_without_documents_is_left_out_and_told(
    source: Path, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_texts(source, {"de/validation.jsonl.gz": [], "de/test.jsonl": b"\n"})
    for _ in range(2):
        manifest = prepare(source, out, workers=1)
        assert list(manifest.domains["de"]) == ["train"]
        told = capsys.readouterr().out.splitlines()
        assert "left out de/validation.jsonl.gz: it holds no documents" in told
        assert "left out de/test.jsonl: it holds no documents" in told


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"de/train.jsonl.zst": []}, "de/train.jsonl.zst holds no documents"),
        ({"sw/train.txt": b"\n \n"}, "sw/train.txt holds no documents"),
        ({"de/test.jsonl": b"\xff\xfe\0"}, "de/test.jsonl: 1 of 1 documents are bad"),
        ({"de/test.jsonl": packed(".gz", b"x")}, "test.jsonl is compressed; name it test.jsonl.gz"),
        ({"xx/test.jsonl": ["a"]}, "domain 'xx' has no train split"),
    ],
)
def test_files_that_cannot_be_prepared(
    source: Path, out: Path, files: dict[str, Any], message: str
) -> None:
    write_texts(source, files)
    with pytest.raises(ValueError, match=re.escape(message)):
        prepare(source, out, workers=1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tokenizer": "bytes"}, "tokenizer must be 'byte', 'bpe:VOCAB', or the path of .*'bytes'"),
        ({"tokenizer": ""}, "tokenizer must be 'byte'"),
        ({"tokenizer": "bpe:"}, "must be a number from 257 .* got 'bpe:'"),
        ({"tokenizer": "bpe:16k"}, "must be a number from 257 .* got 'bpe:16k'"),
        ({"tokenizer": "bpe:256"}, "must be a number from 257"),
        ({"tokenizer": "bpe:99999999"}, "to 1048576, got 'bpe:99999999'"),
        ({"end_of_document": "</s>"}, "end_of_document names a token of a tokenizer.json"),
        ({"workers": 0}, "workers must be at least 1, got 0"),
        ({"max_bad_fraction": 2.0}, "max_bad_fraction must be from 0 to 1, got 2.0"),
    ],
)
def test_options_that_cannot_be(
    source: Path, out: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        prepare(source, out, **{"workers": 1} | options)


def test_the_text_is_only_read(source: Path) -> None:
    for inside in (source, source / "corpus"):
        with pytest.raises(ValueError, match="which is only read; choose another folder"):
            prepare(source, inside, workers=1)


def test_no_tokenizer_of_others_is_overwritten(source: Path, out: Path) -> None:
    out.mkdir()
    (out / "tokenizer.json").write_text("{}")
    with pytest.raises(
        ValueError, match=r"tokenizer\.json is another tokenizer, which prepare did"
    ):
        prepare(source, out, "bpe:270", workers=1)
    assert (out / "tokenizer.json").read_text() == "{}"


def run(source: Path, out: Path, tokenizer: str = "byte") -> subprocess.Popen[str]:
    """Prepare in another process, in a process group of its own, by two workers."""
    arguments = f"Path({str(source)!r}), Path({str(out)!r}), {tokenizer!r}, workers=2"
    code = f"from pathlib import Path; from mixer.prepare import prepare; prepare({arguments})"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=ROOT,
        start_new_session=True,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )


def wait_until(condition: Callable[[], object], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.002)


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Text that takes some seconds to tokenise: long enough to be interrupted."""
    texts = {
        f"d{number:02}/train.jsonl.zst": [words(number, 2000 + 200 * number)] * 24
        for number in range(16)
    }
    return write_texts(tmp_path_factory.mktemp("large"), texts)


@pytest.fixture(scope="module")
def prepared(large: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The large text prepared without an interruption."""
    out = tmp_path_factory.mktemp("prepared")
    prepare(large, out, "bpe:300", workers=1)
    return out


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_an_interrupted_run_goes_on(
    large: Path, out: Path, prepared: Path, how: signal.Signals
) -> None:
    process = run(large, out, str(prepared))
    wait_until(lambda: list(out.glob(".prepare/*/train.json")))
    if how is signal.SIGKILL:
        process.kill()
    else:
        os.killpg(process.pid, how)
    _, messages = process.communicate(timeout=20)
    wait_until(lambda: group_is_gone(process.pid))
    receipts = [path.parent.name for path in out.glob(".prepare/*/train.json")]
    kept = {
        path: stamp for path, stamp in stamps(out).items() if Path(path).parent.name in receipts
    }
    assert 0 < len(kept) < 16
    assert not (out / "mixture.json").exists()
    if how is signal.SIGINT:
        assert "interrupted; what is finished is kept: run the same command again" in messages
        assert "mixer/workers.py" not in messages.split("KeyboardInterrupt")[-1]
        assert not list(out.rglob("*.partial"))
    prepare(large, out, str(prepared), workers=1)
    assert kept.items() <= stamps(out).items()
    assert not list(out.rglob("*.partial"))
    assert tree(out) == tree(prepared)


def test_two_at_once(large: Path, out: Path, prepared: Path) -> None:
    process = run(large, out, str(prepared))
    wait_until(lambda: list(out.glob(".prepare/*/train.json")))
    with pytest.raises(ValueError, match=rf"process \({process.pid}\) is writing to {out}; wait"):
        prepare(large, out, "byte", workers=1)
    process.kill()
    process.communicate()
    wait_until(lambda: group_is_gone(process.pid))


def test_failures_in_processes_are_told_in_one_sentence(source: Path, out: Path) -> None:
    write_texts(source, {"sw/train.txt": b"\0"})
    process = run(source, out)
    _, messages = process.communicate(timeout=30)
    last = messages.splitlines()[-1]
    assert last.startswith("ValueError: 1 of 4 files could not be prepared")
    assert "sw/train.txt: 1 of 1 documents are bad" in last
    assert "_RemoteTraceback" not in messages


def test_a_process_that_dies_is_told(large: Path, out: Path, prepared: Path) -> None:
    process = run(large, out, str(prepared))
    wait_until(lambda: list(out.glob(".prepare/*/train.json")))
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [
        int(child)
        for child in children
        if "spawn_main" in Path(f"/proc/{child}/cmdline").read_text()
    ]
    os.kill(workers[0], signal.SIGKILL)
    _, messages = process.communicate(timeout=20)
    assert "ValueError: a process died, perhaps for want of memory" in messages
    assert process.returncode == 1


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real text in {REAL}")
def test_real_text(tmp_path: Path, out: Path) -> None:
    for language in ("ro", "uk"):
        (tmp_path / "real").mkdir(exist_ok=True)
        (tmp_path / "real" / language).symlink_to(REAL / language)
    manifest = prepare(tmp_path / "real", out, "bpe:2000", workers=1)
    tokenizer = open_tokenizer(out, manifest.tokenizer)
    for name, splits in manifest.domains.items():
        entry = splits["train"]
        tokens = TokenShard.open(out / entry.prefix).tokens
        assert tokenizer.token_bytes()[tokens].sum() == entry.bytes > 250_000
        assert len("".join(documents(out, name)).encode()) == entry.bytes
        assert entry.bytes / entry.tokens > 2
        assert not entry.quarantined
