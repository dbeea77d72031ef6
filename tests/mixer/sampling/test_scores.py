from pathlib import Path

import numpy as np
import pytest

from mixer.indexed import ShardWriter, TokenShard
from mixer.sampling.scores import read_scores, scores_path, write_scores


@pytest.fixture
def shard(tmp_path: Path) -> TokenShard:
    with ShardWriter(tmp_path / "en" / "train", dtype=np.dtype("<u2")) as writer:
        for size in (3, 5, 2):
            writer.add_document(np.arange(size))
    return TokenShard.open(tmp_path / "en" / "train")


def test_scores_come_back_and_new_ones_replace_them(shard: TokenShard) -> None:
    path = write_scores(shard, "quality", [0.5, np.nan, -1.0])
    assert path == shard.prefix.with_name("train.quality.scores.npy")
    np.testing.assert_array_equal(read_scores(shard, "quality"), [0.5, np.nan, -1.0])
    write_scores(shard, "quality", [1.0, 2.0, 3.0])
    np.testing.assert_array_equal(read_scores(shard, "quality"), [1.0, 2.0, 3.0])
    assert [file.name for file in path.parent.glob("*partial*")] == []


def test_missing_scores_say_which_there_are(shard: TokenShard) -> None:
    with pytest.raises(ValueError, match="has no scores 'quality'; it has none"):
        read_scores(shard, "quality")
    write_scores(shard, "length", [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="has no scores 'quality'; it has length"):
        read_scores(shard, "quality")


@pytest.mark.parametrize("name", ["", "Quality", "a/b", "../x", "1st"])
def test_names_are_plain(shard: TokenShard, name: str) -> None:
    with pytest.raises(ValueError, match="a score's name must be lower-case letters"):
        write_scores(shard, name, [1.0, 2.0, 3.0])


def test_scores_fit_their_shard(shard: TokenShard) -> None:
    with pytest.raises(ValueError, match=r"a number for each of 3 documents, got shape \(2,\)"):
        write_scores(shard, "quality", [1.0, 2.0])
    with pytest.raises(ValueError, match="finite numbers, or NaN for none"):
        write_scores(shard, "quality", [1.0, 2.0, np.inf])
    np.save(scores_path(shard.prefix, "quality"), np.ones(4, dtype=np.float32))
    with pytest.raises(ValueError, match="for each of 3 documents"):
        read_scores(shard, "quality")


@pytest.mark.parametrize(
    "content",
    [b"", b"\x93NUMPY", b"not an array", np.ones(3, dtype=np.float32).tobytes()],
)
def test_what_is_no_array_is_refused(shard: TokenShard, content: bytes) -> None:
    scores_path(shard.prefix, "quality").write_bytes(content)
    with pytest.raises(ValueError, match="holds no array of numbers"):
        read_scores(shard, "quality")


def test_pickles_and_other_types_are_refused(shard: TokenShard) -> None:
    path = scores_path(shard.prefix, "quality")
    np.save(path, np.array([object(), None, 1], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="holds no array of numbers"):
        read_scores(shard, "quality")
    np.save(path, np.ones(3, dtype=np.int64))
    with pytest.raises(ValueError, match="must hold float32 numbers, got int64"):
        read_scores(shard, "quality")


def test_a_header_that_promises_too_much_allocates_nothing(shard: TokenShard) -> None:
    path = scores_path(shard.prefix, "quality")
    header = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"
    path.write_bytes(b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header)
    with pytest.raises(ValueError, match="holds no array of numbers"):
        read_scores(shard, "quality")
