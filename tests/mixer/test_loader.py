import numpy as np
import pytest

from mixer.loader import MixtureLoader
from mixer.mixture import Mixture
from mixer.streams import DomainStream


def loader(num_batches: int = 50) -> MixtureLoader:
    domains = [DomainStream(f"d{n}", np.arange(500) + 1000 * n, 10, 0) for n in range(3)]
    return MixtureLoader(Mixture(domains, batch_size=4), num_batches)


def test_it_has_a_length() -> None:
    assert len(loader(7)) == 7


def test_it_never_looks_ahead() -> None:
    source = loader()
    mixture = source.root.mixture
    batches = iter(source)
    assert mixture.drawn.sum() == 0
    for step in range(12):
        mixture.set_weights(np.eye(3)[step % 3])
        assert next(batches).domain.unique().tolist() == [step % 3]
        assert mixture.drawn.sum() == 4 * (step + 1)


@pytest.mark.parametrize("stop", [0, 1, 9])
def test_its_state_resumes_exactly_and_without_drawing(stop: int) -> None:
    first = loader()
    batches = iter(first)
    for _ in range(stop):
        next(batches)
    second = loader()
    second.load_state_dict(first.state_dict())
    resumed = iter(second)
    assert second.root.mixture.drawn.sum() == 4 * stop
    for _ in range(10):
        left, right = next(batches), next(resumed)
        assert all((a == b).all() for a, b in zip(left, right, strict=True))
