"""datatrove's blocks that find and remove duplicates, with the sizes of clusters kept."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from datatrove.data import Document
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup.exact_dedup import (
    ExactDedupConfig,
    ExactDedupFilter,
    ExactDedupSignature,
    ExactFindDedups,
)
from datatrove.pipeline.dedup.minhash import (
    MinhashConfig,
    MinhashDedupBuckets,
    MinhashDedupCluster,
    MinhashDedupFilter,
    MinhashDedupSignature,
)

from mixer.pipeline.deduplication import Near
from mixer.pipeline.words import AnyScript

EXACT_COPIES, CLUSTER_SIZE = "duplicate_count", "minhash_cluster_size"


def text_of(document: Document) -> str:
    """What exact duplicates have in common."""
    return str(document.text)


def exact_signatures(folder: Path) -> PipelineStep:
    return ExactDedupSignature(str(folder / "signatures"), _exact())


def exact_copies(folder: Path) -> PipelineStep:
    return ExactFindDedups(
        str(folder / "signatures"), str(folder / "found"), _exact(), save_cluster_size=True
    )


def without_copies(folder: Path) -> PipelineStep:
    """Removes copies; a document that stays is told how many went, as ``duplicate_count``."""
    return ExactDedupFilter(str(folder / "found"), _exact())


def near_signatures(folder: Path, near: Near) -> PipelineStep:
    return MinhashDedupSignature(
        str(folder / "signatures"), config=_minhash(near), language=AnyScript()
    )


def near_pairs(folder: Path, near: Near) -> PipelineStep:
    return MinhashDedupBuckets(
        str(folder / "signatures"), str(folder / "pairs"), config=_minhash(near)
    )


def near_clusters(folder: Path, near: Near, tasks: int) -> PipelineStep:
    return Clusters(folder, _minhash(near), tasks)


def without_resembling(folder: Path) -> PipelineStep:
    """Removes near-duplicates; all get the size of their cluster, ``minhash_cluster_size``."""
    return MinhashDedupFilter(str(folder / "clusters"), load_cluster_sizes=True)


class Clusters(MinhashDedupCluster):
    """datatrove's clusters, with a file of sizes for every task.

    Its filter gives no sizes to the documents of a task of which none is removed; an empty list
    of removals makes it look for them.

    Args:
        folder: Folder of the lane's near-duplicates.
        config: datatrove's configuration.
        tasks: Tasks that the lane's documents are read by.
    """

    def __init__(self, folder: Path, config: MinhashConfig, tasks: int) -> None:
        super().__init__(
            str(folder / "pairs"),
            str(folder / "clusters"),
            config=config,
            save_cluster_size=True,
        )
        self.tasks = tasks

    def run(
        self, data: Iterator[Document] | None = None, rank: int = 0, world_size: int = 1
    ) -> None:
        """Find the clusters of a lane."""
        super().run(data, rank, world_size)
        for task in range(self.tasks):
            for kind in ("remove", "sizes"):
                self.output_folder.open(f"{task:06d}.{kind}", "ab").close()


def _exact() -> ExactDedupConfig:
    return ExactDedupConfig(content_getter=text_of)


def _minhash(near: Near) -> MinhashConfig:
    return MinhashConfig(
        n_grams=near.n_grams,
        num_buckets=near.num_buckets,
        hashes_per_bucket=near.hashes_per_bucket,
        seed=near.seed,
    )
