import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mixer.sampling.layout import EpochLayout


def written_out(tokens: np.ndarray, bounds: np.ndarray, copies: list[int]) -> np.ndarray:
    pieces = [
        tokens[bounds[document] : bounds[document + 1]]
        for passed in range(max(copies))
        for document in range(len(copies))
        if copies[document] > passed
    ]
    return np.concatenate(pieces) if pieces else np.empty(0, dtype=tokens.dtype)


@given(
    documents=st.lists(st.tuples(st.integers(1, 9), st.integers(0, 3)), min_size=1, max_size=12),
    width=st.integers(1, 12),
)
def test_windows_are_those_of_the_epoch_written_out(
    documents: list[tuple[int, int]], width: int
) -> None:
    lengths, copies = (list(column) for column in zip(*documents, strict=True))
    bounds = np.concatenate([[0], np.cumsum(lengths)])
    tokens = np.arange(1000, 1000 + bounds[-1], dtype=np.uint16)
    layout = EpochLayout(bounds, np.array(copies))
    expected = written_out(tokens, bounds, copies)
    assert layout.num_tokens == len(expected)
    start = np.arange(max(0, len(expected) - width + 1))
    gathered = layout.gather(tokens, start, width)
    assert gathered.dtype == np.int64
    assert gathered.shape == (len(start), width)
    for row, begin in zip(gathered, start.tolist(), strict=True):
        assert row.tolist() == expected[begin : begin + width].tolist()


def test_copies_of_a_document_are_apart() -> None:
    layout = EpochLayout(np.array([0, 2, 4, 6]), np.array([3, 1, 0]))
    assert layout.gather(np.arange(6), np.array([0]), 8)[0].tolist() == [0, 1, 2, 3, 0, 1, 0, 1]
