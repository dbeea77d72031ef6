"""An executor that a configuration names, as a user's own would be: all tasks in this process."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from datatrove.executor.base import DistributedEnvVars, PipelineExecutor


class Inline(PipelineExecutor):  # type: ignore[misc]
    """Runs one task after the other; ``fail_at`` is the stage and task at which it dies."""

    def __init__(
        self,
        pipeline: list[Any],
        tasks: int,
        logging_dir: str,
        depends: Inline | None,
        fail_at: str = "",
    ) -> None:
        super().__init__(pipeline, logging_dir)
        self.tasks = tasks
        self.depends = depends
        self.fail_at = fail_at

    def run(self) -> None:
        blocks = self.pipeline
        for rank in self.get_incomplete_ranks():
            if self.fail_at == f"{self.logging_dir.path.rpartition('/')[2]}/{rank}":
                raise ValueError("killed")
            self.pipeline = deepcopy(blocks)
            self._run_for_rank(rank)
        self.pipeline = blocks

    @property
    def world_size(self) -> int:
        return self.tasks

    def get_distributed_env(self, node_rank: int = -1) -> DistributedEnvVars:
        keys = ("executor", "node_ips", "cpus_per_task", "mem_per_cpu", "gpus_on_node")
        return DistributedEnvVars(**{f"datatrove_{key}": "" for key in keys})
