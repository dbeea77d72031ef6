import json

import numpy as np
import pytest
import torch

from mixer.batch import Batch
from mixer.mixture import Mixture
from mixer.streams import DomainStream

SIZES = {"en": 5001, "de": 700, "sw": 64}
LENGTH = 8


def streams(sizes: dict[str, int] = SIZES) -> list[DomainStream]:
    """Domains whose tokens tell where they come from: domain * 1e6 + position."""
    return [
        DomainStream(name, np.arange(size, dtype=np.int64) + number * 1_000_000, LENGTH, 0)
        for number, (name, size) in enumerate(sizes.items())
    ]


def mixture(**settings) -> Mixture:
    return Mixture(streams(), **{"batch_size": 12, **settings})


def weights_of(step: int) -> np.ndarray:
    return np.random.default_rng([5, step]).dirichlet(np.ones(len(SIZES)))


def equal(left: Batch, right: Batch) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


def test_a_batch_holds_what_it_says() -> None:
    drawn = mixture()
    drawn.set_weights(np.array([0.5, 0.25, 0.25]))
    batch = drawn.next_batch()
    assert batch.tokens.shape == (12, LENGTH + 1)
    assert batch.tokens.dtype == batch.domain.dtype == batch.window.dtype == torch.int64
    assert batch.epoch.dtype == torch.int32
    assert torch.equal(batch.tokens[:, 0] // 1_000_000, batch.domain)
    assert torch.equal(batch.tokens[:, 1:], batch.tokens[:, :-1] + 1)
    assert torch.bincount(batch.domain, minlength=3).tolist() == [6, 3, 3]
    for row, domain, window in zip(batch.tokens, batch.domain, batch.window, strict=True):
        stream = drawn.streams[domain]
        shift = int(row[0]) % 1_000_000 - LENGTH * int(window)
        assert 0 <= shift < len(stream.tokens) - LENGTH * stream.num_sequences


def test_new_weights_rule_the_very_next_batch() -> None:
    drawn = mixture()
    for step in range(60):
        chosen = step * 7 % 3
        drawn.set_weights(np.eye(3)[chosen])
        assert drawn.next_batch().domain.unique().tolist() == [chosen]


@pytest.mark.parametrize("rule", ["quota", "systematic"])
def test_fidelity_over_a_thousand_steps(rule: str) -> None:
    drawn = mixture(resampling=rule)
    asked = np.zeros(3)
    worst_sum = 0.0
    for step in range(1000):
        weights = weights_of(step)
        drawn.set_weights(weights)
        drawn.next_batch()
        assert np.abs(drawn.counts - 12 * weights).max() < 1 + 1e-6
        asked += 12 * weights
        worst_sum = max(worst_sum, float(np.abs(asked - drawn.drawn).max()))
        assert np.allclose(drawn.owed, asked - drawn.drawn, atol=1e-2)
    # Unbiased rounding wanders like a random walk of steps below one half; quotas do not wander.
    assert worst_sum < (1.0 if rule == "quota" else 4 * 0.5 * 1000**0.5)


def test_no_window_repeats_within_an_epoch_even_when_a_batch_holds_several() -> None:
    drawn = mixture()
    seen: dict[tuple[int, int], list[int]] = {}
    for step in range(200):
        drawn.set_weights(weights_of(step))
        batch = drawn.next_batch()
        for domain, epoch, window in zip(
            batch.domain.tolist(), batch.epoch.tolist(), batch.window.tolist(), strict=True
        ):
            seen.setdefault((domain, epoch), []).append(window)
    last = {domain: max(e for d, e in seen if d == domain) for domain, _ in seen}
    assert last[2] > 50  # Seven windows, fewer than a batch of twelve.
    for (domain, epoch), windows in seen.items():
        assert len(set(windows)) == len(windows)
        if epoch < last[domain]:
            assert sorted(windows) == list(range(drawn.streams[domain].num_sequences))
    for domain, epoch in last.items():
        assert epoch < drawn.epochs[domain] <= epoch + 1


@pytest.mark.parametrize(("ranks", "micro"), [(1, 1), (2, 1), (1, 3), (2, 3), (4, 1)])
def test_the_global_batch_does_not_depend_on_ranks(ranks: int, micro: int) -> None:
    whole = mixture()
    parts = [mixture(rank=rank, num_ranks=ranks, num_micro_batches=micro) for rank in range(ranks)]
    for step in range(20):
        weights = weights_of(step)
        whole.set_weights(weights)
        expected = whole.next_batch()
        rows = torch.empty_like(expected.tokens)
        for part in parts:
            part.set_weights(weights)
        for number in range(micro):
            for rank, part in enumerate(parts):
                slice_ = part.next_batch()
                rows[number * ranks + rank :: ranks * micro] = slice_.tokens
                shares = torch.bincount(slice_.domain, minlength=3).numpy() * ranks * micro
                # Dealt like cards: a slice is within one sequence of its share of each domain.
                assert np.abs(shares - whole.counts).max() < ranks * micro
        assert torch.equal(rows, expected.tokens)


@pytest.mark.parametrize("stop", [1, 7, 40])
@pytest.mark.parametrize("micro", [1, 3])
def test_resume_is_exact(stop: int, micro: int) -> None:
    first = mixture(num_micro_batches=micro)

    def advance(drawn: Mixture, step: int) -> list[Batch]:
        drawn.set_weights(weights_of(step))
        return [drawn.next_batch() for _ in range(micro)]

    for step in range(stop):
        advance(first, step)
    second = mixture(num_micro_batches=micro)
    second.load_state_dict(json.loads(json.dumps(first.state_dict())))
    np.testing.assert_array_equal(second.in_force, first.in_force)
    for step in range(stop, stop + 30):
        for left, right in zip(advance(first, step), advance(second, step), strict=True):
            assert equal(left, right)
    assert first.state_dict() == second.state_dict()


def test_resume_between_micro_batches_keeps_the_step_whole() -> None:
    first = mixture(num_micro_batches=3)
    first.set_weights(weights_of(0))
    first.next_batch()
    first.set_weights(weights_of(1))
    second = mixture(num_micro_batches=3)
    second.load_state_dict(first.state_dict())
    for _ in range(8):
        assert equal(first.next_batch(), second.next_batch())


def test_resume_on_other_ranks_continues_the_same_global_batches() -> None:
    pair = [mixture(rank=rank, num_ranks=2) for rank in range(2)]
    whole = mixture()
    for step in range(9):
        for drawn in (*pair, whole):
            drawn.set_weights(weights_of(step))
            drawn.next_batch()
    assert pair[0].state_dict() == pair[1].state_dict() == whole.state_dict()
    single = mixture()
    single.load_state_dict(pair[1].state_dict())
    for step in range(9, 20):
        for drawn in (single, whole):
            drawn.set_weights(weights_of(step))
        assert equal(single.next_batch(), whole.next_batch())


def test_a_batch_may_be_larger_than_a_block_of_windows() -> None:
    drawn = Mixture(streams(), batch_size=6000)
    drawn.set_weights(np.array([0.0, 0.0, 1.0]))
    for _ in range(3):
        batch = drawn.next_batch()
    assert drawn.drawn.tolist() == [0, 0, 18000]
    assert batch.epoch.unique().tolist() == list(range(12000 // 7, 17999 // 7 + 1))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"batch_size": 0}, "batch_size must be a positive multiple"),
        ({"batch_size": 9, "num_ranks": 2}, "multiple of 2 ranks"),
        ({"resampling": "exact"}, "resampling must be one of"),
    ],
)
def test_bad_settings_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        mixture(**settings)


def test_no_domains_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one domain"):
        Mixture([], batch_size=4)


@pytest.mark.parametrize(
    "weights", [[0.5, 0.5], [0.5, 0.6, -0.1], [0.5, 0.5, 0.5], [np.nan, 0.5, 0.5]]
)
def test_bad_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weights must"):
        mixture().set_weights(np.array(weights))


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (lambda: Mixture(streams({**SIZES, "sw": 200}), batch_size=12), "num_sequences"),
        (lambda: Mixture(streams({"en": 5001, "de": 700}), batch_size=12), "names"),
        (lambda: mixture(batch_size=6), "batch_size"),
    ],
)
def test_a_state_of_another_mixture_is_refused(other, field: str) -> None:
    with pytest.raises(ValueError, match=f"another {field}"):
        other().load_state_dict(mixture().state_dict())


def test_a_step_cut_otherwise_is_refused() -> None:
    first = mixture(num_micro_batches=3)
    first.next_batch()
    with pytest.raises(ValueError, match="gradient accumulation"):
        mixture().load_state_dict(first.state_dict())
