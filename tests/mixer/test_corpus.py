import os
import resource
from pathlib import Path

import numpy as np
import pytest
from corpora import END, write_corpus

from mixer.corpus import Corpus
from mixer.manifest import Manifest


def test_streams_read_the_shards(corpus: Path) -> None:
    opened = Corpus(corpus)
    assert opened.names == ("en", "de", "sw")
    for stream, entry in zip(
        opened.streams("train", sequence_length=32, seed=0), opened.entries("train"), strict=True
    ):
        assert len(stream.tokens) == entry.tokens
        assert (stream.tokens == END).sum() == entry.documents


def test_domains_can_be_chosen_and_ordered(corpus: Path) -> None:
    assert [
        s.name for s in Corpus(corpus, ["sw", "en"]).streams("test", sequence_length=8, seed=0)
    ] == ["sw", "en"]


@pytest.mark.parametrize(
    ("domains", "message"),
    [
        (["en", "xx"], r"domains \['xx'\] are not in"),
        (["en", "en"], "named once"),
        ([], "named once"),
    ],
)
def test_bad_domains_are_refused(corpus: Path, domains: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Corpus(corpus, domains)


def test_a_folder_without_a_manifest_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="glotmix prepare"):
        Corpus(tmp_path)


def test_a_missing_split_is_refused(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path, {"en": 500, "sw": 500})
    manifest = Manifest.load(folder)
    del manifest.domains["sw"]["validation"]  # type: ignore[attr-defined]
    manifest.save(folder)
    with pytest.raises(ValueError, match="no validation split for sw"):
        Corpus(folder).streams("validation", sequence_length=8, seed=0)


def test_a_shard_that_does_not_match_the_manifest_is_refused(tmp_path: Path) -> None:
    folder = write_corpus(tmp_path, {"en": 500})
    with (folder / "en" / "train.bin").open("ab") as file:
        file.write(b"\0\0")
    with pytest.raises(ValueError, match="the manifest says"):
        Corpus(folder).streams("train", sequence_length=8, seed=0)
    (folder / "en" / "train.bin").unlink()
    with pytest.raises(ValueError, match="is missing"):
        Corpus(folder).streams("train", sequence_length=8, seed=0)


def test_token_bytes_come_from_the_tokenizer_or_the_mean(corpus: Path, tmp_path: Path) -> None:
    table = Corpus(corpus).token_bytes()
    assert table.shape == (257,)
    assert table.sum() == 256
    assert table[END] == 0
    folder = write_corpus(tmp_path, {"en": 500})
    known = Manifest.load(folder)
    anonymous = Manifest(tokenizer="", vocab_size=300, end_of_document=None, domains=known.domains)
    anonymous.save(folder)
    entry = known.domains["en"]["train"]
    mean = Corpus(folder).token_bytes()
    assert mean.shape == (300,)
    assert np.allclose(mean, entry.bytes / entry.tokens)


def test_thousands_of_shards_open_under_a_low_limit_of_open_files(tmp_path: Path) -> None:
    sizes = {f"d{number}": 10 for number in range(150)}
    folder = write_corpus(tmp_path, sizes)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some for this process, which other tests may have left with open files, too few for shards.
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 100, hard))
    try:
        assert len(Corpus(folder).streams("train", sequence_length=8, seed=0)) == 150
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
