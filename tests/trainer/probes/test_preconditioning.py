import pytest
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from trainer.probes.preconditioning import adam_scales

ROWS, COLUMNS = torch.tensor([1.0, 4.0, 9.0]), torch.tensor([1e-4, 2e-2])


def stepped(layer: nn.Module, gradient: Tensor, steps: int = 2) -> torch.optim.AdamW:
    """AdamW after steps with the same gradient, so that its second moment is the square of that."""
    optimizer = torch.optim.AdamW(layer.parameters(), betas=(0.9, 0.95))
    for _ in range(steps):
        layer.weight.grad = gradient
        optimizer.step()
    return optimizer


def test_gradients_of_rank_one_are_scaled_as_adamw_does_twice_over() -> None:
    layer, gradient = nn.Linear(2, 3), torch.outer(ROWS, COLUMNS)
    scales = adam_scales({"layer": layer}, stepped(layer, gradient))
    assert scales is not None
    scale = torch.outer(*scales["layer"])
    # AdamW divides by the square root of the second moment, half of it on either side.
    torch.testing.assert_close(gradient * scale**2, torch.ones(3, 2), rtol=1e-3, atol=0)


def test_transposed_layers_are_scaled_alike() -> None:
    gradient = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    linear, transposed = nn.Linear(2, 3), Conv1D(3, 2)
    one = adam_scales({"layer": linear}, stepped(linear, gradient))
    other = adam_scales({"layer": transposed}, stepped(transposed, gradient.T.contiguous()))
    assert one is not None
    assert other is not None
    torch.testing.assert_close(one, other)
    assert one["layer"].outputs.shape == (3,)


def test_the_factors_have_the_means_of_the_second_moment() -> None:
    gradient = torch.randn(3, 2, generator=torch.Generator().manual_seed(0))
    layer = nn.Linear(2, 3)
    scales = adam_scales({"layer": layer}, stepped(layer, gradient))
    assert scales is not None
    square = torch.outer(*scales["layer"]) ** -4
    for dim in (0, 1):
        torch.testing.assert_close(square.mean(dim), (gradient**2).mean(dim), rtol=1e-4, atol=1e-6)


def test_without_a_second_moment_nothing_is_scaled() -> None:
    layer = nn.Linear(2, 3)
    optimizer = torch.optim.AdamW(layer.parameters())
    assert adam_scales({"layer": layer}, optimizer) is None


@pytest.mark.parametrize("number", [0, 1])
def test_layers_that_never_had_a_gradient_are_left_out(number: int) -> None:
    layers = {"0": nn.Linear(2, 3), "1": nn.Linear(2, 3)}
    both = nn.ModuleDict(layers)
    optimizer = torch.optim.AdamW(both.parameters())
    layers[str(number)].weight.grad = torch.ones(3, 2)
    optimizer.step()
    assert set(adam_scales(layers, optimizer) or {}) == {str(number)}
