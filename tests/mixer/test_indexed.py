import hashlib
import struct
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.indexed import (
    INTEGER_TYPES,
    ShardWriter,
    TokenShard,
    bin_path,
    idx_path,
    move_shard,
    smallest_type,
)

DOCUMENTS = [[7, 300, 65535], [1], [2, 2]]


def write(prefix: Path, documents: list[list[int]], dtype: str = "<u2") -> ShardWriter:
    with ShardWriter(prefix, dtype=np.dtype(dtype)) as writer:
        for document in documents:
            writer.add_document(np.array(document))
    return writer


def golden_index(lengths: list[int], code: int, itemsize: int) -> bytes:
    """Megatron-LM's format by hand: little-endian, as its `_IndexWriter` packs it."""
    index = b"MMIDIDX\x00\x00" + struct.pack("<Q", 1) + struct.pack("<B", code)
    index += struct.pack("<Q", len(lengths)) + struct.pack("<Q", len(lengths) + 1)
    index += b"".join(struct.pack("<i", length) for length in lengths)
    starts = [itemsize * sum(lengths[:at]) for at in range(len(lengths))]
    index += b"".join(struct.pack("<q", start) for start in starts)
    return index + b"".join(struct.pack("<q", at) for at in range(len(lengths) + 1))


def test_both_files_byte_for_byte(tmp_path: Path) -> None:
    write(tmp_path / "train", DOCUMENTS)
    assert (tmp_path / "train.bin").read_bytes() == struct.pack("<6H", 7, 300, 65535, 1, 2, 2)
    assert (tmp_path / "train.idx").read_bytes() == golden_index([3, 1, 2], 8, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["train.bin", "train.idx"]


@settings(max_examples=50, deadline=None)
@given(
    code=st.sampled_from(sorted(INTEGER_TYPES)),
    documents=st.lists(st.lists(st.integers(0, 100), min_size=1, max_size=9), max_size=9),
)
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, code: int, documents: list[list[int]]
) -> None:
    prefix = tmp_path_factory.mktemp("shard") / "train"
    dtype = INTEGER_TYPES[code]
    writer = write(prefix, documents, dtype.str)
    lengths = [len(document) for document in documents]
    assert idx_path(prefix).read_bytes() == golden_index(lengths, code, dtype.itemsize)
    shard = TokenShard.open(prefix)
    everything = [token for document in documents for token in document]
    assert shard.tokens.tolist() == everything
    assert shard.tokens.dtype == dtype
    assert [b.tolist() for b in shard.blocks(4)] == [
        everything[at : at + 4] for at in range(0, len(everything), 4)
    ]
    assert shard.num_documents == shard.num_sequences == len(documents)
    assert shard.document_bounds().tolist() == np.cumsum([0, *lengths]).tolist()
    assert writer.num_tokens == len(everything)
    assert writer.largest_token == max(everything, default=None)
    digest = hashlib.blake2b(bin_path(prefix).read_bytes(), digest_size=20).hexdigest()
    assert writer.checksum == f"blake2b:{digest}"


def test_index_longer_than_one_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mixer.indexed.INDEX_BLOCK", 2)
    for count in (1, 2, 3, 4):
        write(tmp_path / "train", [[5] * (n + 1) for n in range(count)])
        lengths = list(range(1, count + 1))
        assert (tmp_path / "train.idx").read_bytes() == golden_index(lengths, 8, 2)


@settings(max_examples=30, deadline=None)
@given(cuts=st.lists(st.integers(0, 3), max_size=3))
def test_joined_shards_are_the_shard_written_at_once(
    tmp_path_factory: pytest.TempPathFactory, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("join")
    whole = write(folder / "whole", DOCUMENTS)
    bounds = [0, *sorted(cuts), len(DOCUMENTS)]
    with ShardWriter(folder / "joined", dtype=np.dtype("<u2")) as joined:
        for part, (first, last) in enumerate(pairwise(bounds)):
            write(folder / str(part), DOCUMENTS[first:last])
            joined.add_shard(TokenShard.open(folder / str(part)))
    assert (folder / "joined.bin").read_bytes() == (folder / "whole.bin").read_bytes()
    assert (folder / "joined.idx").read_bytes() == (folder / "whole.idx").read_bytes()
    assert (joined.checksum, joined.largest_token) == (whole.checksum, whole.largest_token)


def test_only_shards_of_one_type_are_joined(tmp_path: Path) -> None:
    write(tmp_path / "a", [[1]], "<i4")
    with (
        pytest.raises(ValueError, match="only shards of one type can be joined"),
        ShardWriter(tmp_path / "b", dtype=np.dtype("<u2")) as writer,
    ):
        writer.add_shard(TokenShard.open(tmp_path / "a"))


def test_an_exception_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must be 0 to 65535"):
        write(tmp_path / "train", [[1], [-1]])
    assert not list(tmp_path.iterdir())


def test_an_old_index_never_stands_beside_new_tokens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "train", DOCUMENTS)

    def power_cut(self: Path, target: Path) -> None:
        raise OSError

    writer = ShardWriter(tmp_path / "train", dtype=np.dtype("<u2"))
    writer.add_document(np.array([1]))
    monkeypatch.setattr(Path, "replace", power_cut)
    with pytest.raises(OSError):  # noqa: PT011
        writer.close()
    with pytest.raises(ValueError, match=r"train\.idx is missing"):
        TokenShard.open(tmp_path / "train")


def test_a_shard_is_moved(tmp_path: Path) -> None:
    write(tmp_path / "a", DOCUMENTS)
    write(tmp_path / "deep/b", [[1]])
    move_shard(tmp_path / "a", tmp_path / "deep/b")
    assert len(TokenShard.open(tmp_path / "deep/b").tokens) == 6
    assert not bin_path(tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "1 to 2147483647 tokens, got 0"),
        ([-1, 3], "must be 0 to 65535, got -1 to 3"),
        ([65536], "must be 0 to 65535, got 65536 to 65536"),
    ],
)
def test_documents_that_cannot_be_held(tmp_path: Path, document: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        write(tmp_path / "train", [document])


@pytest.mark.parametrize(("vocab_size", "name"), [(2, "<u2"), (65536, "<u2"), (65537, "<i4")])
def test_smallest_type(vocab_size: int, name: str) -> None:
    assert smallest_type(vocab_size) == np.dtype(name)


def test_a_document_of_several_sequences(tmp_path: Path) -> None:
    """Megatron can cut documents into sentences; the bounds are then those of documents."""
    (tmp_path / "train.bin").write_bytes(struct.pack("<6H", *range(6)))
    index = b"MMIDIDX\x00\x00" + struct.pack("<QBQQ", 1, 8, 3, 3)
    index += struct.pack("<3i", 1, 2, 3) + struct.pack("<3q", 0, 2, 6) + struct.pack("<3q", 0, 2, 3)
    (tmp_path / "train.idx").write_bytes(index)
    shard = TokenShard.open(tmp_path / "train")
    assert (shard.num_sequences, shard.num_documents) == (3, 2)
    assert shard.document_bounds().tolist() == [0, 3, 6]


def broken_index(index: bytes, data: bytes, how: str) -> tuple[bytes, bytes]:
    return {
        "cut": (index[:-1], data),
        "cut header": (index[:20], data),
        "empty": (b"", data),
        "no magic": (b"X" + index[1:], data),
        "version": (index[:9] + struct.pack("<Q", 2) + index[17:], data),
        "type": (index[:17] + b"\x06" + index[18:], data),
        "odd data": (index, data + b"\0"),
    }[how]


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut", "cut short or overlong"),
        ("cut header", "not a Megatron index"),
        ("empty", "not a Megatron index"),
        ("no magic", "not a Megatron index"),
        ("version", "version must be 1, got 2"),
        ("type", "type code must be one of"),
        ("odd data", "no whole number of 2-byte tokens"),
    ],
)
def test_damaged_shards_are_refused(tmp_path: Path, how: str, message: str) -> None:
    write(tmp_path / "train", DOCUMENTS)
    files = [tmp_path / "train.idx", tmp_path / "train.bin"]
    changed = broken_index(files[0].read_bytes(), files[1].read_bytes(), how)
    for path, content in zip(files, changed, strict=True):
        path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        TokenShard.open(tmp_path / "train")


@pytest.mark.parametrize("missing", [".bin", ".idx"])
def test_missing_files_are_named(tmp_path: Path, missing: str) -> None:
    write(tmp_path / "train", DOCUMENTS)
    (tmp_path / f"train{missing}").unlink()
    with pytest.raises(ValueError, match=f"train{missing} is missing"):
        TokenShard.open(tmp_path / "train")


def test_an_index_of_other_tokens_is_found_out(tmp_path: Path) -> None:
    write(tmp_path / "train", DOCUMENTS)
    with (tmp_path / "train.bin").open("ab") as file:
        file.write(b"\0\0")
    with pytest.raises(ValueError, match="index counts 6 tokens, the data file holds 7"):
        TokenShard.open(tmp_path / "train").document_bounds()
