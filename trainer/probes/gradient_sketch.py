"""Short random projections of the gradients of single sequences, without those gradients."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any, NamedTuple, TypeAlias, cast

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from mixer.permutation import key_of
from trainer.network import SequenceLossNetwork

Linear: TypeAlias = nn.Linear | Conv1D

# Sequences are sketched so many at once that their tokens are at most this many, or one by one:
# beside the activations, the gradients of all layers' outputs are held at once.
_TOKENS_AT_ONCE = 2**13


class Scale(NamedTuple):
    """What a layer's gradient is multiplied by: the outer product of the two.

    Attributes:
        outputs: Shape (out,).
        inputs: Shape (in,).
    """

    outputs: Tensor
    inputs: Tensor


class GradientSketcher:
    """Sketches each sequence's gradient with regard to the weights of a network's linear layers.

    Where a layer met a_t and the loss has the gradient d_t with regard to what it made of it, the
    gradient of its weights is ``G = sum_t d_t a_t^T`` over the tokens t of the sequence. Its part
    of the sketch is ``sum_t (P d_t)(Q a_t)^T = P G Q^T``, so that G itself is never made. P and Q
    of each layer have ``2 sqrt(size)`` random orthonormal rows, scaled (columns, unscaled, where
    the layer is narrower: nothing is lost then). The parts of all layers are added up, and the
    entries of the sum, in a random order, dealt to ``size`` buckets.

    Inner products of sketches are those of gradients without bias. At size 1024 and in layers of
    width 64 they stray by about 0.03 |g| |h|, and squared norms by 0.05 |g|^2: no more than if
    whole gradients were dealt to buckets. In much wider layers P and Q lose more, as they would
    everywhere if they were so short as to need no buckets (0.05 and 0.12 at 32 rows).

    Left out are the head, which is most often the embedding as well and whose logits may be made
    slice by slice, the embeddings, biases, norms, and experts that are not linear layers. Frozen
    layers have no gradient.

    Args:
        network: The network; its weights may change between sketches.
        size: Numbers that a gradient becomes, d.
        layers: Regular expression that the whole name of a layer must match, such as
            ``model.layers.0.self_attn.q_proj``.
        seed: Seed of the projections, which are functions of it, the layers' names and shapes.

    Raises:
        ValueError: No layer matches.
    """

    def __init__(
        self, network: SequenceLossNetwork, *, size: int, layers: str = ".*", seed: int = 0
    ) -> None:
        known = linear_layers(network)
        self.layers = {name: known[name] for name in known if re.fullmatch(layers, name)}
        if not self.layers:
            raise ValueError(
                f"signals.gradient_layers must match the name of a trained linear layer, such as "
                f"{next(iter(known), 'none of this model')!r}, got {layers!r}"
            )
        self.size = size
        self._network = network
        self._side = 2 * math.ceil(math.sqrt(size))
        self._projections = {
            name: _projection(self._side, layer, name, seed) for name, layer in self.layers.items()
        }
        self._order = torch.randperm(self._side**2, generator=_generator(key_of(seed, "buckets")))

    def sketch(self, tokens: Tensor, scales: Mapping[str, Scale] | None = None) -> Tensor:
        """Sketches of the gradients of sequences' summed losses in nats, float32 (B, d).

        Those of sequences without a finite loss are NaN. Parameters, their gradients and all
        generators stay as they are.

        Args:
            tokens: Token ids on the network's device, int64 (B, T + 1).
            scales: What to multiply each layer's gradient by; a layer without one is left out.
        """
        self._move(tokens.device)
        at_once = max(1, _TOKENS_AT_ONCE // (tokens.shape[1] - 1))
        with torch.enable_grad(), uncompiled(self._network):
            return torch.cat([self._chunk(chunk, scales) for chunk in torch.split(tokens, at_once)])

    def _chunk(self, tokens: Tensor, scales: Mapping[str, Scale] | None) -> Tensor:
        with self._recording() as records:
            losses = self._network(tokens)
        # A layer that the loss does not depend on has the gradient zero.
        slopes = torch.autograd.grad(
            losses.sum(),
            [output for _, _, output in records],
            allow_unused=True,
            materialize_grads=True,
        )
        shape = (len(tokens), self._side, self._side)
        total = torch.zeros(shape, dtype=torch.float32, device=tokens.device)
        # In float32, whatever the precision of the pass.
        with torch.autocast(tokens.device.type, enabled=False):
            for (name, inputs, _), slope in zip(records, slopes, strict=True):
                d = self._by_sequence(name, slope, tokens)
                a = self._by_sequence(name, inputs, tokens)
                if scales is not None:
                    if name not in scales:
                        continue
                    d, a = d * scales[name].outputs, a * scales[name].inputs
                rows, columns = self._projections[name]
                total.baddbmm_((d @ rows.T).transpose(1, 2), a @ columns.T)
            sketches = self._buckets(total.flatten(1))
        finite = losses.detach().isfinite()
        return sketches.masked_fill(~finite[:, None], math.nan)

    def _by_sequence(self, name: str, values: Tensor, tokens: Tensor) -> Tensor:
        """What a layer took in or put out as float32 (B, T, n), from (B, T, n) or (B * T, n)."""
        sequences, length = len(tokens), tokens.shape[1] - 1
        if values.shape[:-1] not in ((sequences, length), (sequences * length,)):
            raise ValueError(
                f"layer {name} does not meet every token of every sequence, so that gradients of "
                "sequences cannot be told apart there; leave it out by signals.gradient_layers"
            )
        return values.reshape(sequences, length, -1).float()

    def _buckets(self, values: Tensor) -> Tensor:
        """The count sketch of the entries, (B, side * side) to (B, d), the same in every run."""
        dealt = values[:, self._order]
        rounds = math.ceil(dealt.shape[1] / self.size)
        dealt = nn.functional.pad(dealt, (0, rounds * self.size - dealt.shape[1]))
        return dealt.view(-1, rounds, self.size).sum(dim=1)

    @contextmanager
    def _recording(self) -> Iterator[list[tuple[str, Tensor, Tensor]]]:
        """Collects name, inputs and output of each layer as it is run."""
        records: list[tuple[str, Tensor, Tensor]] = []
        with ExitStack() as hooks:
            for name, layer in self.layers.items():

                def keep(_: nn.Module, inputs: Any, output: Tensor, name: str = name) -> None:
                    records.append((name, inputs[0].detach(), output))

                hooks.enter_context(layer.register_forward_hook(keep))
            yield records

    def _move(self, device: torch.device) -> None:
        if self._order.device == device:
            return
        self._order = self._order.to(device)
        self._projections = {
            name: (rows.to(device), columns.to(device))
            for name, (rows, columns) in self._projections.items()
        }


def linear_layers(network: SequenceLossNetwork) -> dict[str, Linear]:
    """The trained linear layers of a network without its head, by their names in transformers."""
    head = cast(Any, network.model).get_output_embeddings()
    return {
        name: layer
        for name, layer in network.model.named_modules()
        if isinstance(layer, nn.Linear | Conv1D)
        and layer is not head
        and layer.weight.requires_grad
    }


def layer_shape(layer: Linear) -> tuple[int, int]:
    """Numbers that a layer puts out and takes in."""
    first, second = layer.weight.shape
    return (second, first) if isinstance(layer, Conv1D) else (first, second)


@contextmanager
def uncompiled(network: nn.Module) -> Iterator[None]:
    """Runs compiled modules as they were written.

    Hooks inside them run then, and what was compiled for training stays.
    """
    # What `nn.Module.compile` sets, and `nn.Module.__call__` asks for.
    compiled = {
        module: module._compiled_call_impl
        for module in network.modules()
        if module._compiled_call_impl is not None
    }
    for module in compiled:
        module._compiled_call_impl = None
    try:
        yield
    finally:
        for module, call in compiled.items():
            module._compiled_call_impl = call


def _projection(side: int, layer: Linear, name: str, seed: int) -> tuple[Tensor, Tensor]:
    """P and Q of a layer, float32 (side, out) and (side, in)."""
    num_outputs, num_inputs = layer_shape(layer)
    return (
        _orthonormal(side, num_outputs, key_of(seed, name, "outputs")),
        _orthonormal(side, num_inputs, key_of(seed, name, "inputs")),
    )


def _orthonormal(rows: int, columns: int, key: int) -> Tensor:
    """A random P, float32 (rows, columns), with P^T P the identity in expectation.

    On the CPU, so that it is the same on every rank.
    """
    long, short = max(rows, columns), min(rows, columns)
    normal = torch.randn((long, short), generator=_generator(key), dtype=torch.float64)
    basis, triangle = torch.linalg.qr(normal)
    # Without this, entries on the diagonal are not zero in expectation, and layers do not cancel.
    basis = basis * triangle.diagonal().sign()
    if rows < columns:
        basis = basis.T * math.sqrt(columns / rows)
    return cast(Tensor, basis.float().contiguous())


def _generator(key: int) -> torch.Generator:
    return torch.Generator(device="cpu").manual_seed(key)
