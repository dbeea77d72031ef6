import numpy as np
import pytest

from mixer.gather import WindowGather

WIDTH = 5


def reference(arrays, number, start) -> list[list[int]]:
    return [arrays[n][s : s + WIDTH].tolist() for n, s in zip(number, start, strict=True)]


@pytest.mark.parametrize(
    "types", [["<u2"], ["<u2", "<u2", "<u2"], ["<u2", "<i4", "<u1", "<i4"], ["<i8", "<u2"]]
)
def test_it_reads_what_slices_read(types: list[str]) -> None:
    generator = np.random.default_rng(0)
    arrays = [generator.integers(0, 100, 40 + 7 * n).astype(t) for n, t in enumerate(types)]
    gather = WindowGather(arrays, WIDTH)
    number = generator.integers(0, len(arrays), 200)
    start = np.array([generator.integers(0, len(arrays[n]) - WIDTH + 1) for n in number])
    start[:2], number[:2] = [0, len(arrays[0]) - WIDTH], 0
    tokens = gather.read(number, start)
    assert tokens.dtype == np.int64
    assert tokens.tolist() == reference(arrays, number, start)


def test_it_reads_mapped_files(tmp_path) -> None:
    arrays = []
    for number in range(20):
        path = tmp_path / f"{number}.bin"
        (np.arange(300, dtype="<u2") + 1000 * number).tofile(path)
        arrays.append(np.asarray(np.memmap(path, dtype="<u2", mode="r")))
    number, start = np.arange(20), np.arange(20) * 15
    tokens = WindowGather(arrays, WIDTH).read(number, start)
    assert tokens[:, 0].tolist() == (1000 * number + start).tolist()
    assert (np.diff(tokens) == 1).all()


def test_it_reads_arrays_that_are_not_contiguous() -> None:
    arrays = [np.arange(100, dtype="<u2")[::2], np.arange(100, dtype="<u2")[1:]]
    tokens = WindowGather(arrays, WIDTH).read(np.array([0, 1]), np.array([3, 3]))
    assert tokens.tolist() == [[6, 8, 10, 12, 14], [4, 5, 6, 7, 8]]


def test_nothing_gives_nothing() -> None:
    empty = np.array([], dtype=np.int64)
    assert WindowGather([np.arange(9)], WIDTH).read(empty, empty).shape == (0, WIDTH)
