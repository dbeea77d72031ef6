import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mixer.streams import DomainStream


def read(stream: DomainStream, first: int, count: int) -> list[list[int]]:
    windows = stream.windows(np.arange(first, first + count))
    width = stream.sequence_length + 1
    return [stream.tokens[start : start + width].tolist() for start in windows.start.tolist()]


@given(num_tokens=st.integers(2, 2000), length=st.integers(1, 64), seed=st.integers(0, 99))
def test_an_epoch_predicts_each_token_at_most_once(num_tokens: int, length: int, seed: int) -> None:
    if num_tokens < length + 1:
        return
    stream = DomainStream("en", np.arange(num_tokens), length, seed)
    for epoch in range(3):
        rows = read(stream, epoch * stream.num_sequences, stream.num_sequences)
        predicted = sorted(token for row in rows for token in row[1:])
        assert len(set(predicted)) == len(predicted) == stream.num_sequences * length
        assert predicted == list(range(predicted[0], predicted[0] + len(predicted)))


def test_the_remainder_changes_with_the_epoch() -> None:
    stream = DomainStream("en", np.arange(1999), 100, 0)
    firsts = {min(stream.windows(np.arange(19) + 19 * epoch).start) for epoch in range(20)}
    assert len(firsts) > 10
    assert max(firsts) <= 1999 - 1 - 19 * 100


def test_windows_say_which_epoch_and_window_they_are() -> None:
    stream = DomainStream("en", np.arange(1001), 100, 0)
    windows = stream.windows(np.arange(25))
    assert windows.epoch.tolist() == [0] * 10 + [1] * 10 + [2] * 5
    assert sorted(windows.window[:10]) == list(range(10))
    assert (windows.start == 100 * windows.window).all()


def test_order_depends_on_name_and_seed_alone() -> None:
    tokens = np.arange(5000)
    base = read(DomainStream("en", tokens, 10, 0), 0, 50)
    assert base == read(DomainStream("en", tokens, 10, 0), 0, 50)
    assert base != read(DomainStream("de", tokens, 10, 0), 0, 50)
    assert base != read(DomainStream("en", tokens, 10, 1), 0, 50)


@pytest.mark.parametrize(("num_tokens", "length"), [(10, 10), (0, 1), (5, 100)])
def test_a_sequence_longer_than_the_domain_is_refused(num_tokens: int, length: int) -> None:
    with pytest.raises(ValueError, match=f"sequence_length {length} is too long for domain 'sw'"):
        DomainStream("sw", np.arange(num_tokens), length, 0)


def test_a_sequence_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="sequence_length must be at least 1, got 0"):
        DomainStream("sw", np.arange(10), 0, 0)
