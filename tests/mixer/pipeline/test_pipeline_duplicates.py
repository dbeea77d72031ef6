from pathlib import Path
from typing import Any

import numpy as np
import pytest
from texts import words, write_texts

pytest.importorskip("datatrove", reason="the extra `prepare` is not installed")

from pipelines import removed, run

from mixer.indexed import TokenShard
from mixer.pipeline.words import AnyScript

BASE = [words(seed, 40) for seed in range(8)]
NEAR = {"num_buckets": 4, "hashes_per_bucket": 3}


def prepared(tmp_path: Path, files: dict[str, Any], **settings: Any) -> Path:
    run(tmp_path, write_texts(tmp_path / "text", files), tmp_path / "out", **settings)
    return tmp_path / "out/de/train"


def texts(prefix: Path) -> list[str]:
    shard = TokenShard.open(prefix)
    bounds = shard.document_bounds()[1:-1]
    return ["".join(map(chr, part[:-1])) for part in np.split(shard.tokens, bounds)]


def column(prefix: Path, name: str) -> list[float]:
    values: list[float] = np.load(prefix.with_name(f"train.{name}.scores.npy")).tolist()
    return values


def test_of_copies_one_stays_and_knows_how_many_went(tmp_path: Path) -> None:
    files = {"de/train.a.jsonl": ["a", "b", "a"], "de/train.b.jsonl": ["c", "a", "b "]}
    prefix = prepared(tmp_path, files, tasks=2, deduplicate={"exact": True})
    kept = dict(zip(texts(prefix), column(prefix, "duplicate_count"), strict=True))
    assert kept == {"a": 2, "b": 0, "c": 0, "b ": 0}
    gone = removed(prefix.with_name("train.removed") / "exact-duplicate")
    assert [one["text"] for one in gone] == ["a", "a"]
    assert gone[0]["removed_by"] == "exact-duplicate"


def test_of_near_duplicates_one_stays_with_the_size_of_its_cluster(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    clusters = [[BASE[0], BASE[0] + " und", "oder " + BASE[0]], [BASE[1], BASE[1]], [BASE[2]]]
    files = {
        "de/train.a.jsonl": [clusters[0][0], *clusters[2], clusters[1][0]],
        "de/train.b.jsonl": [clusters[0][1], BASE[3], clusters[1][1]],
        "de/train.c.jsonl": [clusters[0][2]],
        "de/train.d.jsonl": [],
    }
    prefix = prepared(tmp_path, files, tasks=4, deduplicate={"minhash": NEAR})
    kept = dict(zip(texts(prefix), column(prefix, "minhash_cluster_size"), strict=True))
    for cluster in [*clusters, [BASE[3]]]:
        assert [kept[text] for text in dict.fromkeys(cluster) if text in kept] == [len(cluster)]
    gone = removed(prefix.with_name("train.removed") / "near-duplicate")
    assert len(gone) == 3
    assert all(one["metadata"]["minhash_cluster_size"] > 1 for one in gone)
    assert capsys.readouterr().out.splitlines()[1].split()[:6] == ["de", "7", "0", "0", "3", "4"]


def test_domains_and_splits_are_kept_apart(tmp_path: Path) -> None:
    files = {"de/train.jsonl": ["a", "a"], "de/test.jsonl": ["a"], "sw/train.jsonl": ["a"]}
    settings = {"deduplicate": {"exact": True, "minhash": NEAR}}
    prefix = prepared(tmp_path, files, **settings)
    for split in ("de/train", "de/test", "sw/train"):
        assert texts(prefix.parents[1] / split) == ["a"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ein  Wort\nmehr", ["ein", "Wort", "mehr"]),
        ("漢字かな", ["漢", "字", "か", "な"]),
        ("das 漢字x", ["das", "漢", "字", "x"]),
        ("กาสา", ["ก", "า", "ส", "า"]),
        ("", []),
    ],
)
def test_words_in_any_script(text: str, expected: list[str]) -> None:
    assert AnyScript().word_tokenize(text) == expected
