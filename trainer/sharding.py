"""FSDP2 for networks of any architecture: each layer by itself, the rest with the root."""

from __future__ import annotations

from torch import nn
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard


def shard(network: nn.Module, mesh: DeviceMesh) -> None:
    """Shard a network in place over the data-parallel ranks of Lightning's mesh.

    Raises:
        ValueError: The mesh has ranks for tensor parallelism, as Lightning's default has on one
            node; they would each train a copy of their own.
    """
    data, tensor = mesh["data_parallel"], mesh["tensor_parallel"]
    if tensor.size() > 1:
        raise ValueError(
            f"trainer.strategy must shard data only, got tensor_parallel_size {tensor.size()}; set "
            f"init_args: {{data_parallel_size: {data.size() * tensor.size()}, "
            "tensor_parallel_size: 1}"
        )
    for layer in decoder_layers(network):
        fully_shard(layer, mesh=data)
    fully_shard(network, mesh=data)


def decoder_layers(network: nn.Module) -> list[nn.Module]:
    """The layers of the longest list of modules, which in a language model is its decoder."""
    lists = [list(module) for module in network.modules() if isinstance(module, nn.ModuleList)]
    return max(lists, key=len, default=[])
