"""What training receives."""

from __future__ import annotations

from typing import NamedTuple

import torch


class Batch(NamedTuple):
    """One micro-batch of one rank: B sequences of T tokens to predict.

    Attributes:
        tokens: Token ids, int64 (B, T + 1).
        domain: Domain of each sequence, int64 (B,).
        epoch: How often that domain had been read in full before, int32 (B,).
        window: Which window of that epoch it is, int64 (B,), so that a loss can be traced to text.
    """

    tokens: torch.Tensor
    domain: torch.Tensor
    epoch: torch.Tensor
    window: torch.Tensor
