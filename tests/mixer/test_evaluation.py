import numpy as np
import pytest
import torch

from mixer.batch import Batch
from mixer.evaluation import PADDING, EvaluationLoader
from mixer.streams import DomainStream

LENGTH = 10


def streams(seed: int = 0) -> list[DomainStream]:
    sizes = [501, 101, 31]
    return [
        DomainStream(f"d{number}", np.arange(size) + 1000 * number, LENGTH, seed)
        for number, size in enumerate(sizes)
    ]


def real_rows(batches: list[Batch]) -> list[tuple[int, ...]]:
    rows = []
    for batch in batches:
        keep = batch.domain != PADDING
        rows += [tuple(row) for row in batch.tokens[keep].tolist()]
    return sorted(rows)


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("batch_size", [1, 4, 7, 100])
def test_all_ranks_together_read_each_window_once(ranks: int, batch_size: int) -> None:
    loaders = [
        EvaluationLoader(
            streams(),
            sequences_per_domain=8,
            batch_size=batch_size,
            rank=rank,
            num_ranks=ranks,
        )
        for rank in range(ranks)
    ]
    assert loaders[0].counts == [8, 8, 3]
    batches = [list(loader) for loader in loaders]
    # The same number of equal batches on every rank: collectives would hang otherwise.
    assert {len(own) for own in batches} == {len(loaders[0])}
    assert {batch.tokens.shape for own in batches for batch in own} == {(batch_size, LENGTH + 1)}
    rows = real_rows([batch for own in batches for batch in own])
    assert len(rows) == len(set(rows)) == 19
    for batch in batches[0]:
        keep = batch.domain != PADDING
        assert torch.equal(batch.tokens[keep][:, 0] // 1000, batch.domain[keep])


def test_every_pass_reads_the_same() -> None:
    loader = EvaluationLoader(streams(), sequences_per_domain=None, batch_size=4)
    assert real_rows(list(loader)) == real_rows(list(loader))
    assert loader.counts == [50, 10, 3]


@pytest.mark.parametrize("option", ["sequences_per_domain", "batch_size"])
def test_bad_numbers_are_refused(option: str) -> None:
    settings = {"sequences_per_domain": 8, "batch_size": 4, option: 0}
    with pytest.raises(ValueError, match=f"{option} must be at least 1, got 0"):
        EvaluationLoader(streams(), **settings)
