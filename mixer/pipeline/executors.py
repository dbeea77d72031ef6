"""What runs the tasks of a stage: this machine, SLURM or Ray, as datatrove does it."""

from __future__ import annotations

import inspect
from typing import Any

from mixer.pipeline.blocks import ARGUMENTS, CLASS, Spec, build, import_named
from mixer.pipeline.stages import Stage
from mixer.pipeline.workplace import Workplace

OURS = ("pipeline", "tasks", "logging_dir", "depends", "skip_completed")


def make_executor(spec: Spec, stage: Stage, work: Workplace, before: Any) -> Any:
    """The executor of a stage.

    Args:
        spec: What the configuration says.
        stage: The stage.
        work: Where datatrove keeps its logs and marks what is done.
        before: The executor of the stage before, None for the first.

    Raises:
        ValueError: It cannot be made so.
    """
    if taken := set(spec.get(ARGUMENTS) or {}) & set(OURS):
        raise ValueError(
            f"executor.{ARGUMENTS} must not have {', '.join(sorted(taken))}, which the pipeline "
            "sets; how many tasks share a split is said by tasks"
        )
    named: dict[str, object] = {}
    takes = inspect.signature(import_named(spec[CLASS], "executor")).parameters
    if "job_name" in takes and "job_name" not in (spec.get(ARGUMENTS) or {}):
        named["job_name"] = f"glotmix-{stage.name}"
    return build(
        spec,
        "executor",
        {},
        pipeline=list(stage.blocks),
        tasks=stage.routes.tasks,
        logging_dir=str(work.stage(stage.name)),
        depends=before,
        **named,
    )
