"""What AdamW divides gradients by, as factors of a layer's outputs and inputs."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.optim import Optimizer
from transformers.pytorch_utils import Conv1D

from trainer.probes.gradient_sketch import Linear, Scale


def adam_scales(layers: Mapping[str, Linear], optimizer: Optimizer) -> dict[str, Scale] | None:
    """The fourth root of what AdamW multiplies gradients by; None before its first step.

    AdamW moves weights by ``g / (sqrt(v) + eps)``, so that what a step along one gradient does to
    another loss is ``sum g h / (sqrt(v) + eps)``: the inner product of both, each multiplied by
    ``v^(-1/4)``. For the outer products that gradients are made of, v is replaced by that of rank
    one with the same means of rows and columns, as in Adafactor (Shazeer and Stern 2018).

    Args:
        layers: The layers by name.
        optimizer: AdamW over their weights, among others.
    """
    groups = {id(p): group for group in optimizer.param_groups for p in group["params"]}
    scales: dict[str, Scale] = {}
    for name, layer in layers.items():
        state, group = optimizer.state.get(layer.weight), groups.get(id(layer.weight))
        # A layer that never had a gradient has no second moment.
        if not state or group is None:
            continue
        fresh = 1.0 - group["betas"][1] ** float(state["step"])
        square = state["exp_avg_sq"].float() / fresh
        scales[name] = _factors(square.T if isinstance(layer, Conv1D) else square, group["eps"])
    return scales or None


def _factors(square: Tensor, eps: float) -> Scale:
    """Factors of about ``(square + eps**2) ** (-1/4)``, for second moments of shape (out, in)."""
    square = square + eps**2
    rows, columns = square.mean(dim=1), square.mean(dim=0)
    return Scale(outputs=rows.pow(-0.25), inputs=(columns / torch.mean(rows)).pow(-0.25))
