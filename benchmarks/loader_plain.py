"""Our mixture and the plain gathers it is measured against, as endless streams of batches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from mixer.loader import MixtureLoader
from mixer.mixture import Mixture
from mixer.streams import DomainStream

BATCH, LENGTH = 32, 1024
WIDTH = LENGTH + 1
SEED = 7
FOREVER = 10**9
# Weights and positions that are drawn ahead of time and used in turn.
_DRAWN_AHEAD = 1024

Batches = Iterator[torch.Tensor]


@dataclass(frozen=True)
class Data:
    """Random tokens on disk, those of domain i from a range of their own.

    Attributes:
        folder: ``raw/0.bin``, ``raw/1.bin``, ... and their concatenation ``raw/all.bin``, uint16.
        sizes: Tokens of each domain.
    """

    folder: Path
    sizes: tuple[int, ...]

    @classmethod
    def generate(cls, folder: Path, num_domains: int, num_tokens: int) -> Data:
        """Zipf-like sizes, each a whole number of blocks."""
        shares = 1.0 / np.arange(1, num_domains + 1)
        blocks = np.maximum(shares / shares.sum() * num_tokens // WIDTH, 2).astype(int)
        data = cls(folder, tuple((blocks * WIDTH).tolist()))
        (folder / "raw").mkdir(parents=True)
        generator = np.random.default_rng(SEED)
        with (folder / "raw" / "all.bin").open("wb") as whole:
            for domain, size in enumerate(data.sizes):
                low = domain * data.ids_per_domain
                tokens = generator.integers(
                    low, low + data.ids_per_domain, size=size, dtype=np.uint16
                )
                tokens.tofile(data.path(domain))
                tokens.tofile(whole)
        return data

    @property
    def ids_per_domain(self) -> int:
        return 2**16 // len(self.sizes)

    @property
    def weights(self) -> NDArray[np.float64]:
        """In proportion to size, so that no domain runs out long before the others."""
        return np.array(self.sizes) / sum(self.sizes)

    def path(self, domain: int) -> Path:
        return self.folder / "raw" / f"{domain}.bin"

    def memmap(self, domain: int | None = None) -> np.memmap[tuple[int], np.dtype[np.uint16]]:
        """One domain's tokens, or all of them."""
        path = self.folder / "raw" / "all.bin" if domain is None else self.path(domain)
        return np.memmap(path, dtype=np.uint16, mode="r")

    def blocks(self, domain: int) -> NDArray[np.uint16]:
        """One domain cut into blocks, shape (num_blocks, WIDTH)."""
        return np.asarray(self.memmap(domain)).reshape(-1, WIDTH)


def mixture(data: Data, *, num_ranks: int = 1) -> Mixture:
    streams = [
        DomainStream(f"domain{number}", np.asarray(data.memmap(number)), LENGTH, SEED)
        for number in range(len(data.sizes))
    ]
    return Mixture(streams, batch_size=BATCH, seed=SEED, num_ranks=num_ranks)


def moving_weights(data: Data) -> list[NDArray[np.float64]]:
    """Weights that jump from batch to batch, around the weights that the others keep."""
    num_domains = len(data.sizes)
    generator = np.random.default_rng(SEED)
    concentration = data.weights * num_domains
    return list(generator.dirichlet(concentration, size=_DRAWN_AHEAD))


def ours(data: Data) -> Batches:
    """New weights before every batch."""
    drawn, all_weights = mixture(data), moving_weights(data)
    while True:
        for weights in all_weights:
            drawn.set_weights(weights)
            yield drawn.next_batch().tokens


def ours_as_loader(data: Data) -> Batches:
    """The same through the loader that a training loop is given."""
    drawn, all_weights = mixture(data), moving_weights(data)
    batches = iter(MixtureLoader(drawn, FOREVER))
    while True:
        for weights in all_weights:
            drawn.set_weights(weights)
            yield next(batches).tokens


def positions(data: Data) -> list[NDArray[np.int64]]:
    generator = np.random.default_rng(SEED)
    last = sum(data.sizes) - WIDTH
    return list(generator.integers(0, last, size=(_DRAWN_AHEAD, BATCH)))


def nanogpt(data: Data) -> Batches:
    """NanoGPT's get_batch, inputs and targets in one tensor, positions as plain integers."""
    tokens = data.memmap()
    while True:
        start = torch.randint(len(tokens) - WIDTH, (BATCH,)).tolist()
        yield torch.stack([torch.from_numpy(tokens[i : i + WIDTH].astype(np.int64)) for i in start])


def memmap_rows(data: Data) -> Batches:
    """Slices of an np.memmap copied row by row; where they lie was drawn ahead of time."""
    return _rows(data, data.memmap())


def array_rows(data: Data) -> Batches:
    """The same from a plain array over the mapping, whose slices are cheaper."""
    return _rows(data, np.asarray(data.memmap()))


def _rows(data: Data, tokens: NDArray[np.uint16]) -> Batches:
    batches = [start.tolist() for start in positions(data)]
    while True:
        for batch in batches:
            rows = np.empty((BATCH, WIDTH), dtype=np.int64)
            for row, start in enumerate(batch):
                rows[row] = tokens[start : start + WIDTH]
            yield torch.from_numpy(rows)


def vectorised(data: Data) -> Batches:
    """All rows by one indexing operation, which one file allows and many do not."""
    windows = np.lib.stride_tricks.sliding_window_view(np.asarray(data.memmap()), WIDTH)
    batches = positions(data)
    while True:
        for batch in batches:
            yield torch.from_numpy(windows[batch].astype(np.int64))
