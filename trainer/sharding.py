"""FSDP2 for networks of any architecture: each layer by itself, the rest with the root."""

from __future__ import annotations

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard


def shard(network: nn.Module, mesh: DeviceMesh) -> None:
    """Shard a network in place over a one-dimensional mesh of data-parallel ranks."""
    for layer in decoder_layers(network):
        fully_shard(layer, mesh=mesh)
    fully_shard(network, mesh=mesh)


def decoder_layers(network: nn.Module) -> list[nn.Module]:
    """The layers of the longest list of modules, which in a language model is its decoder."""
    lists = [list(module) for module in network.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len, default=[])
