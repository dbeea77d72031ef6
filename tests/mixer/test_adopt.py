import hashlib
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from texts import tree, write_texts

from mixer.adopt import adopt, verify
from mixer.indexed import ShardWriter
from mixer.manifest import Manifest
from mixer.prepare import prepare


def shard(prefix: Path, tokens: list[int], dtype: str = "<u2") -> None:
    with ShardWriter(prefix, dtype=np.dtype(dtype)) as writer:
        for first in range(0, len(tokens), 4):
            writer.add_document(np.array(tokens[first : first + 4]))


@pytest.mark.parametrize(
    ("name", "domain", "split"),
    [
        ("de/train", "de", "train"),
        ("de/valid_text_document", "de", "validation"),
        ("de/mc4_dev", "de", "validation"),
        ("de_train", "de", "train"),
        ("de_train_text_document", "de", "train"),
        ("deu_Latn-test_document", "deu_Latn", "test"),
        ("zh-hant.val_text_sentence", "zh-hant", "validation"),
        ("en_training", "en", "train"),
        ("restrain_test", "restrain", "test"),
    ],
)
def test_names(tmp_path: Path, name: str, domain: str, split: str) -> None:
    shard(tmp_path / name, [1, 2, 3])
    manifest = adopt(tmp_path)
    assert list(manifest.domains) == [domain]
    assert list(manifest.domains[domain]) == [split]
    assert manifest.domains[domain][split].prefix == name


@pytest.mark.parametrize(
    ("name", "domain"),
    [
        ("pile_text_document", "pile"),
        ("restrain", "restrain"),
        ("de/text_document", "de"),
        ("de/a", "de"),
    ],
)
def test_a_split_that_the_name_does_not_tell(tmp_path: Path, name: str, domain: str) -> None:
    shard(tmp_path / name, [1, 2, 3])
    with pytest.raises(ValueError, match=r"does not tell its split; call it NAME_train\.idx"):
        adopt(tmp_path)
    manifest = adopt(tmp_path, split="valid")
    assert list(manifest.domains) == [domain]
    assert list(manifest.domains[domain]) == ["validation"]


def test_shards_are_described_and_left_alone(tmp_path: Path) -> None:
    shard(tmp_path / "de_train_text_document", [104, 105, 256, 0, 9, 9, 9])
    shard(tmp_path / "sw/train", [97], "<i4")
    shard(tmp_path / ".old/sw/train", [98])
    before = tree(tmp_path)
    manifest = adopt(tmp_path, "byte")
    after = tree(tmp_path)
    del after["mixture.json"]
    assert after == before
    assert manifest == Manifest.load(tmp_path)
    assert (manifest.tokenizer, manifest.vocab_size, manifest.end_of_document) == ("byte", 257, 256)
    entry = manifest.domains["de"]["train"]
    assert (entry.tokens, entry.bytes, entry.documents, entry.largest_token) == (7, 6, 2, 256)
    digest = hashlib.blake2b((tmp_path / "de_train_text_document.bin").read_bytes(), digest_size=20)
    assert entry.checksum == f"blake2b:{digest.hexdigest()}"
    verify(tmp_path)


def test_bytes_by_the_tokenizer_are_those_of_the_text(tmp_path: Path) -> None:
    source = write_texts(
        tmp_path / "text",
        {"de/train.jsonl": ["Äpfel und Birnen", "", "x"], "el/train.txt": "αβγ αβγ".encode()},
    )
    prepared = prepare(source, tmp_path / "a", "bpe:280", workers=1, max_bad_fraction=0.5)
    (tmp_path / "b").mkdir()
    for domain in ("de", "el"):
        (tmp_path / "b" / domain).symlink_to(tmp_path / "a" / domain)
    for place in (tmp_path / "a", tmp_path / "b"):
        adopted = adopt(place, str(tmp_path / "a"))
        assert (adopted.tokenizer, adopted.vocab_size) == ("tokenizer.json", prepared.vocab_size)
        assert adopted.end_of_document == prepared.end_of_document
        for domain in ("de", "el"):
            ours, theirs = adopted.domains[domain]["train"], prepared.domains[domain]["train"]
            for of in ("tokens", "bytes", "documents", "checksum", "largest_token", "prefix"):
                assert getattr(ours, of) == getattr(theirs, of)
    (tmp_path / "b/tokenizer.json").write_text("{}")
    with pytest.raises(ValueError, match=r"is another tokenizer than .* move one of them away"):
        adopt(tmp_path / "b", str(tmp_path / "a"))


def test_the_vocabulary(tmp_path: Path) -> None:
    shard(tmp_path / "de/train", [1, 2, 3, 4, 400, 6])
    unknown = adopt(tmp_path)
    assert (unknown.tokenizer, unknown.vocab_size, unknown.end_of_document) == ("", 401, None)
    assert unknown.domains["de"]["train"].bytes == 0
    assert adopt(tmp_path, vocab_size=512).vocab_size == 512
    assert adopt(tmp_path, "byte", vocab_size=512).domains["de"]["train"].bytes == 5
    message = (
        r"token ids must be from 0 to below 400, .*/de/train has 400 at position 4; give the vocab"
    )
    with pytest.raises(ValueError, match=message):
        adopt(tmp_path, vocab_size=400)
    with pytest.raises(ValueError, match=r"below 257, .*/de/train has 400 at position 4"):
        adopt(tmp_path, "byte")


def test_negative_ids(tmp_path: Path) -> None:
    shard(tmp_path / "de/train", [1, 2, 3], "<i4")
    (tmp_path / "de/train.bin").write_bytes(struct.pack("<3i", 1, -7, 3))
    with pytest.raises(ValueError, match="de/train has -7 at position 1"):
        adopt(tmp_path)


def test_positions_beyond_the_first_block(tmp_path: Path) -> None:
    tokens = np.zeros(3_000_000, dtype=np.int64)
    tokens[2_500_000] = 9
    with ShardWriter(tmp_path / "de/train", dtype=np.dtype("<u2")) as writer:
        writer.add_document(tokens)
    assert adopt(tmp_path).vocab_size == 10
    with pytest.raises(ValueError, match="has 9 at position 2500000"):
        adopt(tmp_path, vocab_size=9)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "holds no shards"),
        (["train"], "train.idx does not tell its domain; call it NAME_train.idx"),
        (["a/b/train"], "lies too deep; link it into a folder named like its domain"),
        (["de/train", "de_train"], "de/train and de_train are both the train split of 'de'"),
        (["de/val", "de/dev"], "are both the validation split of 'de'"),
        (["d e/train"], "a domain's name must be letters"),
    ],
)
def test_shards_that_cannot_be_told_apart(tmp_path: Path, names: list[str], message: str) -> None:
    for name in names:
        shard(tmp_path / name, [1])
    with pytest.raises(ValueError, match=message):
        adopt(tmp_path)


def test_options_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is no folder"):
        adopt(tmp_path / "missing")
    shard(tmp_path / "de/train", [1])
    with pytest.raises(ValueError, match=r"split must be one of train, .* got 'trian'"):
        adopt(tmp_path, split="trian")
    with pytest.raises(ValueError, match=r"tokenizer must be 'byte', .*got 'bytes'"):
        adopt(tmp_path, "bytes")
    with pytest.raises(ValueError, match="vocab_size must be at least 1, got 0"):
        adopt(tmp_path, vocab_size=0)


@pytest.mark.parametrize("file", ["de/train.bin", "de/train.idx"])
def test_damaged_shards_are_not_described(tmp_path: Path, file: str) -> None:
    shard(tmp_path / "de/train", [1, 2, 3])
    os.truncate(tmp_path / file, (tmp_path / file).stat().st_size - 2)
    with pytest.raises(ValueError, match="write the shard again"):
        adopt(tmp_path)
    assert not (tmp_path / "mixture.json").exists()


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[0] ^= 1
    path.write_bytes(content)


def test_verify(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a", "b", "c", "d"):
        shard(tmp_path / f"{name}/train", [1, 2, 3])
    adopt(tmp_path)
    verify(tmp_path)
    assert capsys.readouterr().out.splitlines()[-1] == "all 4 shards are as the manifest says"
    flip(tmp_path / "a/train.bin")
    shard(tmp_path / "b/train", [1, 2, 3, 4, 5])
    (tmp_path / "c/train.idx").unlink()
    with pytest.raises(ValueError, match="3 of 4 shards are not as") as error:
        verify(tmp_path)
    assert "a/train.bin does not have the manifest's checksum" in str(error.value)
    assert "b/train holds 5 tokens in 2 documents, the manifest says 3 in 1" in str(error.value)
    assert "train.idx is missing" in str(error.value)


def test_verify_without_checksums(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shard(tmp_path / "a/train", [1, 2, 3])
    adopt(tmp_path)
    manifest = (tmp_path / "mixture.json").read_text()
    checksum = Manifest.load(tmp_path).domains["a"]["train"].checksum
    (tmp_path / "mixture.json").write_text(manifest.replace(checksum, ""))
    verify(tmp_path)
    assert "(1 without a checksum: only their sizes were compared)" in capsys.readouterr().out
