from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import Feedback
from policies.feedback import ratio


def feedback(domain: list[int], loss: list[float], tokens: list[int], text: list[int]) -> Feedback:
    """Four domains; the last is never drawn."""
    return Feedback(
        step=3,
        weights=np.full(4, 0.25),
        counts=np.bincount(np.array(domain, dtype=np.int64), minlength=4),
        epochs=np.zeros(4),
        sequence_domain=np.array(domain, dtype=np.int64),
        sequence_loss=np.array(loss),
        sequence_tokens=np.array(tokens, dtype=np.float64),
        sequence_bytes=np.array(text, dtype=np.float64),
        learning_rate=1e-3,
    )


def test_losses_are_means_over_tokens_and_over_bytes() -> None:
    one = feedback([0, 1, 0], [6.0, 5.0, 2.0], [2, 10, 2], [10, 40, 10])
    np.testing.assert_array_equal(one.tokens, [4, 10, 0, 0])
    np.testing.assert_allclose(one.loss, [2.0, 0.5, np.nan, np.nan])
    expected = np.array([8 / 20, 5 / 40, np.nan, np.nan]) / np.log(2)
    np.testing.assert_allclose(one.bits_per_byte, expected)
    np.testing.assert_allclose(one.sequence_bits_per_byte, np.array([0.6, 0.125, 0.2]) / np.log(2))


def test_losses_that_are_not_finite_are_dropped_and_counted() -> None:
    one = feedback([0, 0, 1, 2, 2], [np.nan, 3.0, np.inf, -np.inf, 8.0], [1] * 5, [1] * 5)
    np.testing.assert_array_equal(one.dropped, [1, 1, 1, 0])
    np.testing.assert_array_equal(one.finite, [False, True, False, False, True])
    np.testing.assert_array_equal(one.tokens, [1, 0, 1, 0])
    np.testing.assert_array_equal(one.loss, [3.0, np.nan, 8.0, np.nan])


def test_sequence_without_bytes_has_no_bits_per_byte() -> None:
    one = feedback([0, 1], [1.0, 1.0], [1, 1], [0, 1])
    assert np.isnan(one.sequence_bits_per_byte[0])
    assert np.isnan(one.bits_per_byte[0])


def test_overflow_is_infinite_and_silent() -> None:
    assert ratio(np.array([1.7e308]), np.array([0.5])) == np.inf


def test_empty_batch_says_nothing() -> None:
    one = feedback([], [], [], [])
    assert np.isnan(one.loss).all()
    assert not one.dropped.any()


@given(
    st.lists(
        st.tuples(
            st.integers(0, 3),
            st.floats(-100, 1e6) | st.just(np.nan) | st.just(np.inf),
            st.integers(1, 50),
            st.integers(1, 200),
        ),
        min_size=1,
        max_size=30,
    )
)
def test_aggregates_agree_with_a_plain_loop(rows: list[tuple[int, float, int, int]]) -> None:
    domain, loss, tokens, text = (list(column) for column in zip(*rows, strict=True))
    one = feedback(domain, loss, tokens, text)
    for index in range(4):
        own = [row for row in rows if row[0] == index and np.isfinite(row[1])]
        nats = sum(row[1] for row in own)
        if own:
            assert one.loss[index] == pytest.approx(nats / sum(row[2] for row in own))
            bits = nats / np.log(2) / sum(row[3] for row in own)
            assert one.bits_per_byte[index] == pytest.approx(bits)
        else:
            assert np.isnan(one.loss[index])
    assert one.dropped.sum() == sum(not np.isfinite(value) for value in loss)
