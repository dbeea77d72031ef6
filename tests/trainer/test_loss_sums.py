import numpy as np
import pytest

from policies.feedback import LN2
from trainer.held_out import held_out


def sums_of(nats: list[np.ndarray], sizes: list[np.ndarray]) -> np.ndarray:
    return np.array(
        [
            [len(n), n.sum(), b.sum(), (n * n).sum(), (n * b).sum(), (b * b).sum()]
            for n, b in zip(nats, sizes, strict=True)
        ]
    )


def test_means_are_ratios_of_sums() -> None:
    nats = [np.array([10.0, 20.0, 30.0]), np.array([7.0])]
    sizes = [np.array([10.0, 12.0, 20.0]), np.array([5.0])]
    result = held_out(sums_of(nats, sizes), step=3, sequence_length=8)
    assert result.bits_per_byte == pytest.approx([60 / 42 / LN2, 7 / 5 / LN2])
    assert result.loss == pytest.approx([60 / 24, 7 / 8])
    assert result.sequences.tolist() == [3, 1]
    assert result.worst == 0
    assert result.mean == pytest.approx((60 / 42 + 7 / 5) / 2 / LN2)
    assert np.isnan(result.standard_error[1])


def test_standard_errors_are_those_of_repeated_samples() -> None:
    generator = np.random.default_rng(0)
    count, repeats = 200, 2000
    sizes = generator.integers(20, 60, (repeats, count)).astype(float)
    nats = sizes * generator.normal(1.0, 0.1, sizes.shape) + generator.normal(0, 3, sizes.shape)
    results = held_out(sums_of(list(nats), list(sizes)), step=0, sequence_length=1)
    spread = results.bits_per_byte.std()
    assert results.standard_error.mean() == pytest.approx(spread, rel=0.1)


def test_a_domain_without_sequences_has_no_loss() -> None:
    result = held_out(np.zeros((1, 6)), step=0, sequence_length=8)
    assert np.isnan(result.bits_per_byte[0])
