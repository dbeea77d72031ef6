"""Every domain alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from policies.policy import Task
from policies.signals import Array
from policies.static import Static


@final
@dataclass(frozen=True, kw_only=True)
class Uniform(Static):
    """The same share for every domain, whatever its size ("stratified" sampling)."""

    def mixture(self, task: Task) -> Array:
        return np.full(task.num_domains, 1 / task.num_domains)
