"""Between the natural mixture and the uniform one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from policies.policy import Task
from policies.signals import Array
from policies.simplex import softmax
from policies.static import Static


@final
@dataclass(frozen=True, kw_only=True)
class Temperature(Static):
    """Temperature sampling, ``p_j ~ unique_tokens_j ** alpha``.

    The exponent is the inverse of the sampling temperature tau: papers that quote tau = 5 mean
    alpha = 1 / 5. mBERT used 0.7; XLM-R (Conneau et al. 2020, arXiv 1911.02116) and mT5 (Xue et al.
    2021, arXiv 2010.11934) used 0.3.

    Args:
        alpha: From 0, the uniform mixture, to 1, the natural one.
    """

    alpha: float = 0.3

    def __post_init__(self) -> None:
        if not 0 <= self.alpha <= 1:
            raise ValueError(f"alpha must be in [0, 1], got {self.alpha}")

    def mixture(self, task: Task) -> Array:
        return softmax(self.alpha * np.log(task.unique_tokens))
