"""Steps that would spoil the network are skipped and counted."""

from __future__ import annotations

import pytest
import torch

from trainer.guarding import not_finite


@pytest.mark.parametrize(
    ("spoilt", "expected"), [(0.0, 0), (1e38, 0), (float("nan"), 1), (float("inf"), 1)]
)
def test_whatever_is_not_finite_is_found(spoilt: float, expected: int) -> None:
    gradients = [torch.zeros(3, 2), torch.full((1,), spoilt), torch.zeros(0)]
    assert not_finite(gradients, num_ranks=1) == expected
