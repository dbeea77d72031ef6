import gzip
import subprocess
import sys
import zlib
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from mixer.compressed import BOMB, CORRUPT, TRUNCATED, Damage, read_chunks

CONTENT = b"".join(b"line %d\n" % number for number in range(100_000))
MEASURE = """
import sys
from pathlib import Path
from mixer.documents import read_documents
from mixer.quarantine import Quarantine

def peak():
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) / 1024

before = peak()
quarantine = Quarantine("bomb", 1)
good = sum(1 for _ in read_documents(Path(sys.argv[1]), quarantine))
print(good, dict(quarantine.counts), peak() - before, sep="|")
"""


def pack(suffix: str, content: bytes) -> bytes:
    return zstandard.compress(content) if suffix == ".zst" else gzip.compress(content)


def read(path: Path) -> bytes:
    return b"".join(chunk.data for chunk in read_chunks(path))


@pytest.mark.parametrize("suffix", [".zst", ".gz"])
@settings(max_examples=50, deadline=None)
@given(parts=st.lists(st.binary(max_size=99), min_size=1, max_size=4))
def test_all_frames_are_read(
    tmp_path_factory: pytest.TempPathFactory, suffix: str, parts: list[bytes]
) -> None:
    path = tmp_path_factory.mktemp("packed") / f"a{suffix}"
    path.write_bytes(b"".join(pack(suffix, part) for part in parts))
    assert read(path) == b"".join(parts)


@pytest.mark.parametrize("suffix", ["", ".zst", ".gz"])
def test_chunks_are_small_and_know_where_they_came_from(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    content = CONTENT * 10
    path.write_bytes(pack(suffix, content) if suffix else content)
    chunks = list(read_chunks(path))
    assert b"".join(chunk.data for chunk in chunks) == content
    assert max(len(chunk.data) for chunk in chunks) <= 1 << 20
    positions = [chunk.position for chunk in chunks]
    assert positions == sorted(positions)
    assert positions[-1] < path.stat().st_size


def test_gzip_whose_output_fills_a_chunk_exactly(tmp_path: Path) -> None:
    for size in (1 << 20, (1 << 20) + 1, 2 << 20):
        (tmp_path / "a.gz").write_bytes(gzip.compress(bytes(size)))
        assert read(tmp_path / "a.gz") == bytes(size)


def test_padding_between_members_and_skippable_frames(tmp_path: Path) -> None:
    (tmp_path / "a.gz").write_bytes(gzip.compress(b"x") + bytes(9) + gzip.compress(b"y") + bytes(9))
    assert read(tmp_path / "a.gz") == b"xy"
    skippable = b"\x50\x2a\x4d\x18" + (4).to_bytes(4, "little") + b"seek"
    (tmp_path / "a.zst").write_bytes(skippable + zstandard.compress(b"x") + skippable)
    assert read(tmp_path / "a.zst") == b"x"


@pytest.mark.parametrize("suffix", [".zst", ".gz"])
@pytest.mark.parametrize("kept", [1, 7, 1000, -1])
def test_a_cut_is_told_and_what_was_whole_is_kept(tmp_path: Path, suffix: str, kept: int) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(pack(suffix, CONTENT)[:kept])
    chunks: list[bytes] = []
    with pytest.raises(Damage) as error:
        chunks.extend(chunk.data for chunk in read_chunks(path))
    assert error.value.reason == TRUNCATED
    content = b"".join(chunks)
    assert CONTENT.startswith(content)
    assert kept != -1 or len(content) > len(CONTENT) // 2


@pytest.mark.parametrize("suffix", [".zst", ".gz"])
def test_corruption_is_told(tmp_path: Path, suffix: str) -> None:
    packed = bytearray(pack(suffix, CONTENT))
    middle = len(packed) // 2
    packed[middle : middle + 40] = bytes(40)
    (tmp_path / f"a{suffix}").write_bytes(packed)
    with pytest.raises(Damage) as error:
        read(tmp_path / f"a{suffix}")
    assert error.value.reason in (CORRUPT, TRUNCATED)


@pytest.mark.parametrize("suffix", [".zst", ".gz"])
def test_rubbish_behind_the_last_frame_is_told(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(pack(suffix, b"x") + b"rubbish, and more of it")
    with pytest.raises(Damage) as error:
        read(tmp_path / f"a{suffix}")
    assert error.value.reason == CORRUPT


@pytest.mark.parametrize("suffix", [".zst", ".gz"])
def test_names_that_lie(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a.jsonl{suffix}").write_bytes(b'{"text": "plain"}\n')
    with pytest.raises(ValueError, match="is not compressed as its name says"):
        read(tmp_path / f"a.jsonl{suffix}")
    (tmp_path / "a.jsonl").write_bytes(pack(suffix, b'{"text": "plain"}\n'))
    with pytest.raises(ValueError, match=rf"is compressed; name it a\.jsonl\{suffix}"):
        read(tmp_path / "a.jsonl")


def test_too_large_a_window_is_refused(tmp_path: Path) -> None:
    options = zstandard.ZstdCompressionParameters.from_level(1, window_log=28)
    packer = zstandard.ZstdCompressor(compression_params=options).compressobj()
    (tmp_path / "a.zst").write_bytes(packer.compress(b"x") + packer.flush())
    with pytest.raises(ValueError, match=r"window of more than 128 MiB .* --long=27 or less"):
        read(tmp_path / "a.zst")


def write_bomb(path: Path, filling: bytes) -> None:
    """One good document, then a gigabyte of filling in a file of less than a megabyte or so."""
    good = b'{"text": "good"}\n'
    block = filling * ((1 << 20) // len(filling))
    if path.suffix == ".zst":
        packer = zstandard.ZstdCompressor(level=1).compressobj()
    else:
        packer = zlib.compressobj(level=9, wbits=31)
        # gzip shrinks to a thousandth at best: the same packed megabytes again and again.
        start = packer.compress(good) + packer.flush(zlib.Z_FULL_FLUSH)
        inner = packer.compress(block * 16) + packer.flush(zlib.Z_FULL_FLUSH)
        path.write_bytes(start + inner * 64)
        return
    with path.open("wb") as file:
        file.write(packer.compress(good))
        for _ in range(1024):
            file.write(packer.compress(block))
        file.write(packer.flush())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux's /proc")
@pytest.mark.parametrize(
    ("suffix", "filling"),
    [(".zst", b"\0"), (".gz", b"\0"), (".zst", b'{"text": "%b"}\n' % (b"x" * 1000))],
    ids=["zstd", "gzip", "zstd of good lines"],
)
def test_a_bomb_does_not_fill_the_memory(tmp_path: Path, suffix: str, filling: bytes) -> None:
    path = tmp_path / f"bomb.jsonl{suffix}"
    write_bomb(path, filling)
    assert path.stat().st_size < 4 << 20
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, str(path)], capture_output=True, text=True, check=True
    )
    good, counts, grown = done.stdout.split("|")
    assert int(good) >= 1
    assert BOMB in counts
    # Of the gigabyte it may hold a line, a few chunks, and zstd's window.
    assert float(grown) < 160
