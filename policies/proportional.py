"""Domains as they come."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from policies.policy import Task
from policies.signals import Array
from policies.static import Static


@final
@dataclass(frozen=True, kw_only=True)
class Proportional(Static):
    """Shares in proportion to the unique tokens: the natural mixture of the corpus."""

    def mixture(self, task: Task) -> Array:
        return task.unique_tokens / float(task.unique_tokens.sum())
