"""Other libraries doing the same job, as endless streams of batches.

Each keeps its weights, shuffles, and reads blocks of the same tokens from the format it is meant to
read. Its files are written by its ``write_*`` function, once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from loader_plain import BATCH, SEED, WIDTH, Batches, Data
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, RandomSampler


def endless(batches: Iterable[Any], tokens: Callable[[Any], torch.Tensor]) -> Batches:
    """Epoch after epoch, without the part of a batch that may end one."""
    while True:
        for batch in batches:
            if len(rows := tokens(batch)) == BATCH:
                yield rows


def widen(batch: torch.Tensor) -> torch.Tensor:
    return batch.to(torch.int64)


def column(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    return batch["tokens"]


class Blocks(Dataset[torch.Tensor]):
    def __init__(self, blocks: NDArray[np.uint16]) -> None:
        self._blocks = blocks

    def __len__(self) -> int:
        return len(self._blocks)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(self._blocks[index].astype(np.int64))


def torchdata(data: Data) -> Batches:
    from torchdata.nodes import (
        Batcher,
        Loader,
        Mapper,
        MapStyleWrapper,
        MultiNodeWeightedSampler,
        StopCriteria,
    )

    domains = [Blocks(data.blocks(number)) for number in range(len(data.sizes))]
    nodes = {
        str(number): MapStyleWrapper(domain, RandomSampler(domain))
        for number, domain in enumerate(domains)
    }
    weights = {str(number): float(weight) for number, weight in enumerate(data.weights)}
    rows = MultiNodeWeightedSampler(
        nodes, weights, stop_criteria=StopCriteria.CYCLE_FOREVER, seed=SEED
    )
    return iter(Loader(Mapper(Batcher(rows, BATCH), torch.stack)))


def write_litdata(data: Data) -> None:
    from litdata.streaming import Cache, TokensLoader

    # The writer behind litdata.optimize, without starting processes for each of 200 domains.
    for number in range(len(data.sizes)):
        folder = _folder(data, "litdata", number)
        cache = Cache(str(folder), chunk_bytes="64MB", item_loader=TokensLoader(WIDTH))
        for index, block in enumerate(data.blocks(number)):
            cache[index] = torch.from_numpy(block.copy())
        cache.done()
        cache.merge()


def litdata(data: Data, num_workers: int = 0) -> Batches:
    from litdata import (
        CombinedStreamingDataset,
        StreamingDataLoader,
        StreamingDataset,
        TokensLoader,
    )

    domains = [
        StreamingDataset(
            str(_folder(data, "litdata", number)),
            item_loader=TokensLoader(WIDTH),
            shuffle=True,
            drop_last=True,
            seed=SEED,
        )
        for number in range(len(data.sizes))
    ]
    rows = CombinedStreamingDataset(
        domains, seed=SEED, weights=data.weights.tolist(), iterate_over_all=False
    )
    return endless(StreamingDataLoader(rows, batch_size=BATCH, num_workers=num_workers), widen)


def write_mosaic(data: Data) -> None:
    from streaming import MDSWriter

    for number in range(len(data.sizes)):
        folder = str(_folder(data, "mosaic", number))
        with MDSWriter(out=folder, columns={"tokens": f"ndarray:uint16:{WIDTH}"}) as writer:
            for block in data.blocks(number):
                writer.write({"tokens": block})


def _stack(rows: list[dict[str, NDArray[np.uint16]]]) -> torch.Tensor:
    return torch.from_numpy(np.stack([row["tokens"] for row in rows]).astype(np.int64))


def mosaic(data: Data, num_workers: int = 0) -> Batches:
    from streaming import Stream, StreamingDataset

    streams = [
        Stream(local=str(_folder(data, "mosaic", number)), proportion=float(weight))
        for number, weight in enumerate(data.weights)
    ]
    rows = StreamingDataset(streams=streams, batch_size=BATCH, shuffle=True, shuffle_seed=SEED)
    loader = DataLoader(rows, BATCH, num_workers=num_workers, collate_fn=_stack, drop_last=True)
    return endless(loader, lambda batch: batch)


def write_datasets(data: Data) -> None:
    import pyarrow
    from datasets import Dataset, disable_progress_bars

    disable_progress_bars()
    for number in range(len(data.sizes)):
        flat = pyarrow.array(np.asarray(data.memmap(number)))
        blocks = pyarrow.FixedSizeListArray.from_arrays(flat, WIDTH)
        table = pyarrow.table({"tokens": blocks})
        Dataset(table).save_to_disk(str(_folder(data, "datasets", number)))


def datasets_torch(data: Data) -> Batches:
    """Map-style: one order of all rows drawn beforehand, then read batch by batch."""
    rows = _interleaved(data).with_format("torch")
    return endless(Again(rows), column)


def datasets_arrow(data: Data) -> Batches:
    """The same without the library's own conversion, which takes most of its time."""

    def tokens(table: Any) -> torch.Tensor:
        flat = table["tokens"].combine_chunks().flatten().to_numpy()
        return torch.from_numpy(flat.astype(np.int64).reshape(-1, WIDTH))

    return endless(Again(_interleaved(data).with_format("arrow")), tokens)


class Again:
    """A data set's own batches, as often as they are iterated."""

    def __init__(self, rows: Any) -> None:
        self._rows = rows

    def __iter__(self) -> Iterator[Any]:
        return iter(self._rows.iter(BATCH))


def _interleaved(data: Data) -> Any:
    from datasets import interleave_datasets, load_from_disk

    domains = [
        load_from_disk(str(_folder(data, "datasets", number))).shuffle(seed=SEED)
        for number in range(len(data.sizes))
    ]
    return interleave_datasets(domains, probabilities=data.weights.tolist(), seed=SEED)


def datasets_iterable(data: Data, num_workers: int = 0) -> Batches:
    """Iterable: a shuffle buffer per domain; its own batches, or the workers' if there are any."""
    from datasets import interleave_datasets, load_from_disk

    domains = [
        load_from_disk(str(_folder(data, "datasets", number)))
        .to_iterable_dataset(num_shards=max(1, num_workers))
        .shuffle(seed=SEED, buffer_size=100)
        for number in range(len(data.sizes))
    ]
    rows = interleave_datasets(domains, probabilities=data.weights.tolist(), seed=SEED)
    rows = rows.with_format("torch")
    if num_workers:
        return endless(DataLoader(rows, BATCH, num_workers=num_workers), column)
    return endless(Again(rows), column)


def _folder(data: Data, library: str, number: int) -> Path:
    folder = data.folder / library / str(number)
    folder.parent.mkdir(exist_ok=True)
    return folder


WRITERS: dict[str, Callable[[Data], None]] = {
    "litdata": write_litdata,
    "mosaic": write_mosaic,
    "datasets": write_datasets,
}
