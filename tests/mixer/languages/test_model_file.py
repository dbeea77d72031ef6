import struct
from pathlib import Path

import pytest
from told_stories import TOLD

from mixer.languages.identifier import Identifier
from mixer.languages.model_file import MAGIC, read_labels

fasttext = pytest.importorskip("fasttext", reason="fastText is not installed (extra prepare)")


@pytest.mark.parametrize("kind", ["plain", "quantised", "pruned"])
def test_models_of_every_kind_are_whole_and_cut_ones_are_not(tmp_path: Path, kind: str) -> None:
    lines = tmp_path / "lines.txt"
    lines.write_text(
        "".join(f"__label__{name} word{i} {name}\n" for name in TOLD for i in range(90))
    )
    # Of its matrix fastText sets a tenth per thread, and takes the rest from memory as it is.
    model = fasttext.train_supervised(
        str(lines), dim=4, minn=2, maxn=3, bucket=500, epoch=1, thread=11, verbose=0
    )
    if kind == "quantised":
        model.quantize(qnorm=True)
    elif kind == "pruned":
        model.quantize(str(lines), cutoff=300, qnorm=True, dsub=2, verbose=0)
    path = tmp_path / "model.bin"
    model.save_model(str(path))
    assert sorted(read_labels(path)) == sorted(TOLD)
    content = path.read_bytes()
    for size in (9, 40, 70, 100, len(content) // 2, len(content) - 5, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(ValueError, match=r"is cut short or damaged .* fetch or train it"):
            read_labels(path)
    path.write_bytes(content + b"\0")
    with pytest.raises(ValueError, match="1 bytes too many"):
        read_labels(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", r"is no fastText model \(it begins with b''\)"),
        (b"PK\3\4 a zip archive", "is no fastText model"),
        (struct.pack("<2i", MAGIC, 99), "has version 99 of fastText's format"),
        (struct.pack("<14id", MAGIC, 12, *[1] * 12, 0.1), "holds word vectors, not a classifier"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        Identifier(path)


def test_a_missing_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"there is none at .*nowhere\.bin"):
        Identifier(tmp_path / "nowhere.bin")


def test_sizes_that_contradict_each_other_are_refused(model: Path, tmp_path: Path) -> None:
    content = bytearray(model.read_bytes())
    # The number of buckets, after magic, version and eight more: fastText would read past the end.
    struct.pack_into("<i", content, 4 * 10, 1 << 20)
    path = tmp_path / "model.bin"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"a matrix of shape .* should have"):
        read_labels(path)
