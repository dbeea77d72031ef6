from pathlib import Path
from typing import Any

import pytest
from texts import tree, words, write_texts

pytest.importorskip("datatrove", reason="the extra `prepare` is not installed")

from pipelines import INLINE, run

BASE = [words(seed, 30) for seed in range(6)]
FILES = {
    "de/train.a.jsonl": [*BASE[:4], BASE[0] + " und"],
    "de/train.b.jsonl": [BASE[1], BASE[1], BASE[4] + " oder", BASE[4]],
    "sw/train.jsonl": [BASE[5], BASE[5], "moja"],
}
NEAR = {"num_buckets": 2, "hashes_per_bucket": 2}
SETTINGS: dict[str, Any] = {"tasks": 2, "deduplicate": {"exact": True, "minhash": NEAR}}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_texts(tmp_path_factory.mktemp("text"), FILES)


@pytest.fixture(scope="module")
def whole(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The text prepared without an interruption."""
    folder = tmp_path_factory.mktemp("whole")
    run(folder, source, folder / "corpus", **SETTINGS)
    return folder / "corpus"


def dying(at: str) -> dict[str, Any]:
    return {"class_path": INLINE, "init_args": {"fail_at": at}}


def shards(out: Path) -> dict[str, bytes]:
    """All but the removed documents, whose compressed files hold a time."""
    return {name: content for name, content in tree(out).items() if ".removed" not in name}


@pytest.mark.parametrize("at", ["clean/1", "near-pairs/3"])
def test_an_interrupted_run_goes_on(tmp_path: Path, source: Path, whole: Path, at: str) -> None:
    out = tmp_path / "corpus"
    with pytest.raises(ValueError, match="killed"):
        run(tmp_path, source, out, executor=dying(at), **SETTINGS)
    assert not (out / "mixture.json").exists()
    done = {path: path.stat().st_mtime_ns for path in out.rglob("completions/*")}
    assert done
    partial = out / ".prepare/pipeline/tokens/de/train/00000.bin.1.partial"
    partial.parent.mkdir(parents=True, exist_ok=True)
    partial.touch()
    with pytest.raises(ValueError, match="killed"):
        run(tmp_path, source, out, executor=dying("manifest/0"), **SETTINGS)
    assert all(path.stat().st_mtime_ns == stamp for path, stamp in done.items())
    assert not partial.exists()
    run(tmp_path, source, out, **SETTINGS)
    assert shards(out) == shards(whole)
    assert tree(out).keys() == tree(whole).keys()


@pytest.mark.parametrize("moved", ["", "tokens", "both"])
def test_a_join_that_was_killed_is_done_again(tmp_path: Path, source: Path, moved: str) -> None:
    out = tmp_path / "corpus"
    with pytest.raises(ValueError, match="killed"):
        run(tmp_path, source, out, executor=dying("join/0"))
    part = out / ".prepare/pipeline/tokens/de/train/00000"
    target = out / "de/train"
    target.parent.mkdir(exist_ok=True)
    if moved in ("tokens", "both"):
        part.with_suffix(".bin").replace(target.with_suffix(".bin"))
    if moved == "both":
        part.with_suffix(".idx").replace(target.with_suffix(".idx"))
    run(tmp_path, source, out)
    run(tmp_path, source, tmp_path / "whole")
    assert tree(out) == tree(tmp_path / "whole")


def test_a_change_begins_anew(tmp_path: Path, source: Path, whole: Path) -> None:
    out = tmp_path / "corpus"
    with pytest.raises(ValueError, match="killed"):
        run(tmp_path, source, out, executor=dying("tokenise/1"), columns=["x"], **SETTINGS)
    assert list(out.rglob("completions/*"))
    run(tmp_path, source, out, **SETTINGS)
    assert shards(out) == shards(whole)
