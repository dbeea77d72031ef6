"""What a comparison is, as its YAML file says it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import jsonargparse

Document: TypeAlias = dict[str, Any]

# Names become folders beside these.
_TAKEN = ("pilot", "jobs")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Policies on paired seeds at equal total cost.

    Args:
        run: The configuration of a run as `glotmix fit` takes it, or the path of one. Policy, seed
            and run_dir are those of the comparison, whatever it says.
        policies: By name: a class, or class_path and init_args.
        baseline: Name of the policy that the others are measured against.
        seeds: Of the runs of every policy; the same seed means the same first weights of the model
            and the same order of each domain's text.
        budget_tokens: Total cost of every run, tokens of training plus what signals cost;
            trainer.max_steps of the run without signals if not given.
        jobs: Runs side by side; one per GPU that a run leaves to others, or one, if not given. On a
            cluster, all if not given.
        submitit: Settings of submitit's executor, such as slurm_partition and timeout_min, for runs
            on a cluster; "cluster" among them may name another executor. Runs are processes of this
            machine if not given.
        test: Whether every run is also measured on the test split, once, at the end.

    Raises:
        ValueError: A setting is unusable.
    """

    run: Document
    policies: dict[str, str | Document]
    baseline: str
    seeds: list[int] = field(default_factory=lambda: [0, 1, 2])
    budget_tokens: float | None = None
    jobs: int | None = None
    submitit: Document | None = None
    test: bool = False

    def __post_init__(self) -> None:
        for name in self.policies:
            if not re.fullmatch(r"\w[\w.,()+=-]*", name) or name in _TAKEN:
                raise ValueError(
                    "names in policies become folders: they must be letters, digits and _.,()+=-, "
                    f"and not {' or '.join(_TAKEN)}, got {name!r}"
                )
        if self.baseline not in self.policies:
            raise ValueError(
                f"baseline must be one of the policies {', '.join(self.policies)}, "
                f"got {self.baseline!r}"
            )
        if not self.seeds or len(set(self.seeds)) < len(self.seeds) or min(self.seeds) < 0:
            raise ValueError(f"seeds must be different and not negative, got {self.seeds}")
        if self.jobs is not None and self.jobs < 1:
            raise ValueError(f"jobs must be at least 1, got {self.jobs}")
        if self.budget_tokens is not None and not self.budget_tokens > 0:
            raise ValueError(f"budget_tokens must be positive, got {self.budget_tokens}")

    def policy(self, name: str) -> Document:
        """A policy as class_path and, where it has any, init_args."""
        given = self.policies[name]
        return {"class_path": given} if isinstance(given, str) else given


def read_comparison(words: list[str]) -> tuple[Comparison, Path]:
    """The comparison that command-line words describe, and the folder for what comes of it.

    Raises:
        ArgumentError: Words or file are not as they must be.
        ValueError: A setting is unusable.
    """
    parser = jsonargparse.ArgumentParser(
        prog="glotmix compare",
        description="Train policies on paired seeds at equal total cost and print one table.",
        exit_on_error=False,
    )
    parser.add_argument("--config", action="config", help="the YAML file of the comparison")
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and the table")
    # On its own, for only a single argument may be a file.
    parser.add_argument(
        "--run",
        type=dict[str, Any],
        sub_configs=True,
        required=True,
        help="what the runs have in common, as glotmix fit takes it, or the path of it",
    )
    parser.add_class_arguments(Comparison, as_group=False, skip={"run"})
    found = parser.parse_args(words)
    settings = found.as_dict()
    out = Path(settings.pop("out")).resolve()
    settings.pop("config")
    # A run given as a path brings the path with it.
    settings["run"].pop("__path__", None)
    return Comparison(**settings), out
