import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mixer.mixture import Mixture
from mixer.sampling.stream import SampledStream
from mixer.streams import DomainStream

LENGTH = 8


def stream(
    rates: list[float], lengths: list[int] | None = None, name: str = "en", seed: int = 0
) -> SampledStream:
    """Tokens say which document they are of."""
    sizes = lengths or [10] * len(rates)
    return SampledStream(
        name,
        np.repeat(np.arange(len(rates)), sizes),
        np.concatenate([[0], np.cumsum(sizes)]),
        np.array(rates),
        sequence_length=LENGTH,
        seed=seed,
    )


def epoch_of(source: SampledStream, epoch: int, limit: int = 5000) -> np.ndarray:
    windows = source.windows(np.arange(limit))
    return np.flatnonzero(windows.epoch == epoch)


@given(
    rates=st.lists(st.floats(0.0, 5.0), min_size=4, max_size=30),
    epochs=st.integers(1, 40),
    seed=st.integers(0, 5),
)
def test_documents_come_as_often_as_asked(rates: list[float], epochs: int, seed: int) -> None:
    if sum(rates) * 10 < LENGTH + 1:
        return
    source = stream(rates, seed=seed)
    copies = sum(source.copies(epoch) for epoch in range(epochs))
    assert (np.abs(copies - epochs * np.array(rates)) < 1 + 1e-9).all()
    each = source.copies(epochs)
    assert ((np.floor(rates) <= each) & (each <= np.ceil(rates))).all()


def test_what_is_read_is_what_was_counted() -> None:
    generator = np.random.default_rng(0)
    rates, lengths = generator.uniform(0, 3, 50), generator.integers(5, 60, 50)
    source = stream(rates.tolist(), lengths.tolist())
    for epoch in range(4):
        draws = epoch_of(source, epoch)
        windows = source.windows(draws)
        assert sorted(windows.window.tolist()) == list(range(len(draws)))
        tokens = source.read(windows.epoch.astype(np.int32), windows.start)
        # Each token is predicted once, but for the few that fill no window.
        read = np.bincount(tokens[:, 1:].ravel(), minlength=50)
        counted = source.copies(epoch) * lengths
        assert (read <= counted).all()
        assert 1 <= (counted - read).sum() <= LENGTH
        assert len(draws) == (counted.sum() - 1) // LENGTH


def test_the_position_is_all_the_state() -> None:
    rates = np.random.default_rng(1).uniform(0, 2, 30).tolist()
    straight, jumped = stream(rates), stream(rates)
    draws = np.arange(700)
    whole = straight.windows(draws)
    later = jumped.windows(draws[400:])
    for ours, theirs in zip(whole, later, strict=True):
        np.testing.assert_array_equal(ours[400:], theirs)
    np.testing.assert_array_equal(
        straight.read(whole.epoch, whole.start)[400:], jumped.read(later.epoch, later.start)
    )


def test_order_depends_on_name_seed_and_epoch() -> None:
    rates = [1.0] * 40
    base = stream(rates).windows(np.arange(40)).window.tolist()
    assert base == stream(rates).windows(np.arange(40)).window.tolist()
    assert base != stream(rates, name="de").windows(np.arange(40)).window.tolist()
    assert base != stream(rates, seed=1).windows(np.arange(40)).window.tolist()
    source = stream(rates)
    per_epoch = source.num_sequences
    assert base[:per_epoch] != source.windows(per_epoch + np.arange(per_epoch)).window.tolist()


def test_a_rate_of_nothing_is_never_read() -> None:
    source = stream([0.0, 1.0, 2.0] * 10)
    windows = source.windows(np.arange(300))
    assert set((source.read(windows.epoch, windows.start) % 3).ravel().tolist()) == {1, 2}


def test_epochs_that_hold_nothing_are_passed_over() -> None:
    # The only document comes in every fifth epoch.
    source = stream([0.2], [100])
    windows = source.windows(np.arange(36))
    assert len(np.unique(windows.epoch)) == 3
    assert (np.diff(np.unique(windows.epoch)) == 5).all()


def test_other_rates_have_another_digest() -> None:
    assert stream([1.0, 2.0]).digest == stream([1.0, 2.0]).digest
    assert stream([1.0, 2.0]).digest != stream([2.0, 1.0]).digest


@pytest.mark.parametrize("rates", [[-1.0, 5.0], [np.nan, 5.0], [np.inf, 5.0]])
def test_rates_that_are_none_are_refused(rates: list[float]) -> None:
    with pytest.raises(ValueError, match="sampling rates of domain 'en' must be 2 numbers"):
        stream(rates)


def test_too_little_for_a_sequence_is_refused() -> None:
    with pytest.raises(ValueError, match="sequence_length 8 is too long for domain 'en'"):
        stream([0.1] * 5)


def test_a_mixture_reads_sampled_and_whole_domains_and_goes_on() -> None:
    def mixed(rank: int = 0, num_ranks: int = 1) -> Mixture:
        sampled = stream([0.0, 1.0, 2.0] * 10)
        whole = DomainStream("de", np.arange(1000, 1500), LENGTH, 0)
        made = Mixture([sampled, whole], batch_size=8, rank=rank, num_ranks=num_ranks)
        made.set_weights(np.array([0.75, 0.25]))
        return made

    drawn = mixed()
    for _ in range(20):
        batch = drawn.next_batch()
        tokens = batch.tokens.numpy()
        assert (tokens[batch.domain.numpy() == 1] >= 1000).all()
        assert set((tokens[batch.domain.numpy() == 0] % 3).ravel().tolist()) <= {1, 2}
        assert (batch.domain == 0).sum() == 6
    resumed = mixed()
    resumed.load_state_dict(drawn.state_dict())
    ranks = [mixed(rank, 2) for rank in range(2)]
    for part in ranks:
        part.load_state_dict(drawn.state_dict())
    for _ in range(20):
        expected = drawn.next_batch()
        for ours, theirs in zip(resumed.next_batch(), expected, strict=True):
            assert torch.equal(ours, theirs)
        parts = [part.next_batch().tokens for part in ranks]
        assert torch.equal(torch.stack(parts, dim=1).flatten(0, 1), expected.tokens)
    assert drawn.epochs[0] == pytest.approx(40 * 6 / stream([0.0, 1.0, 2.0] * 10).num_sequences)
