"""What can be known of runs before training: their policies as objects and their tasks."""

from __future__ import annotations

from argparse import ArgumentError
from typing import Any

import jsonargparse

from policies import Policy, Task, UniMax, load_policies
from trainer.compare.settings import Document
from trainer.data import CorpusDataModule
from trainer.parsing import reason
from trainer.task import make_task


class Tasks:
    """The task of a run for any number of steps; no token is read for it.

    Args:
        run: The configuration of a run.

    Raises:
        ValueError: The corpus or a setting is unusable.
    """

    def __init__(self, run: Document) -> None:
        parser = jsonargparse.ArgumentParser(exit_on_error=False)
        parser.add_class_arguments(CorpusDataModule, "data")
        parser.add_subclass_arguments(Policy, "prior", required=False)
        parser.add_argument("--target", type=dict[str, float] | None, default=None)
        known = ("data", "prior", "target")
        parts: Document = {key: value for key, value in run.items() if key in known}
        made = _made(parser, parts, "run")
        self._data: CorpusDataModule = made.data
        self._prior: Policy = made.get("prior") or UniMax()
        self._target: dict[str, float] | None = made.target

    @property
    def tokens_per_step(self) -> int:
        """Tokens of one batch."""
        return self._data.batch_size * self._data.sequence_length

    @property
    def names(self) -> tuple[str, ...]:
        return self._data.names

    def of(self, steps: int, seed: int) -> Task:
        """The task of a run of so many steps.

        Raises:
            ValueError: Prior or target do not fit the corpus.
        """
        return make_task(self._data, steps, self._prior, self._target, seed)


def make_policy(name: str, document: Document) -> Policy:
    """The policy that class_path and init_args describe.

    Raises:
        ValueError: They describe none.
    """
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Policy, "policy", required=True)
    policy: Policy = _made(parser, {"policy": document}, f"policies.{name}").policy
    return policy


def _made(parser: jsonargparse.ArgumentParser, parts: Document, what: str) -> Any:
    load_policies()  # Class names without a path are those of classes that are loaded.
    try:
        return parser.instantiate(parser.parse_object(parts))
    except (ArgumentError, ValueError, TypeError) as error:
        raise ValueError(f"{what} cannot be made: {reason(error)}") from error
