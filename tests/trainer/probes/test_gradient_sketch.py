from collections.abc import Iterator

import pytest
import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from trainer import network as network_module
from trainer.network import SequenceLossNetwork, build_network
from trainer.probes import gradient_sketch
from trainer.probes.gradient_sketch import GradientSketcher, linear_layers

LLAMA = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
}
MOE = {
    "num_experts": 4,
    "num_experts_per_tok": 2,
    "moe_intermediate_size": 32,
    "shared_expert_intermediate_size": 32,
}
LENGTH, DOMAINS = 32, 5


def build(architecture: str = "llama", **config) -> SequenceLossNetwork:
    return build_network(
        architecture=architecture,
        config=config or LLAMA,
        pretrained=None,
        vocab_size=257,
        sequence_length=LENGTH,
        seed=0,
    ).eval()


def draw(domain: int, rows: int, generator: torch.Generator) -> Tensor:
    """Made-up languages: steps through alphabets of which neighbours share half."""
    size = (rows, LENGTH + 1)
    steps = 1 + domain * torch.randint(1, 3, size, generator=generator)
    return 20 * domain + steps.cumsum(dim=1) % 40


def batches(rows: int, generator: torch.Generator) -> list[Tensor]:
    return [draw(domain, rows, generator) for domain in range(DOMAINS)]


@pytest.fixture(scope="module")
def trained() -> SequenceLossNetwork:
    net, generator = build(), torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3)
    for _ in range(30):
        net(torch.cat(batches(2, generator))).sum().div(10 * LENGTH).backward()
        optimizer.step()
        optimizer.zero_grad()
    return net


@pytest.fixture
def rows() -> Tensor:
    return torch.cat(batches(2, torch.Generator().manual_seed(1)))


def exact(net: SequenceLossNetwork, rows: Tensor) -> Tensor:
    """Inner products of the whole gradients of sequences, by backward passes one by one."""
    weights = [layer.weight for layer in linear_layers(net).values()]
    gradients = [torch.autograd.grad(net(row[None]).sum(), weights) for row in rows]
    flat = torch.stack([torch.cat([part.flatten() for part in parts]) for parts in gradients])
    return products(flat)


def products(rows: Tensor) -> Tensor:
    return rows.double() @ rows.double().T


def cosine(one: Tensor, other: Tensor) -> float:
    return float((one * other).sum() / one.norm() / other.norm())


def test_inner_products_of_sketches_are_those_of_gradients(
    trained: SequenceLossNetwork, rows: Tensor
) -> None:
    expected = exact(trained, rows)
    found = products(GradientSketcher(trained, size=1024).sketch(rows))
    assert cosine(found, expected) > 0.99
    length = expected.diag().sqrt()
    # Four times how far they stray at this size.
    assert ((found - expected) / length / length[:, None]).abs().max() < 0.2


def test_they_are_unbiased(trained: SequenceLossNetwork, rows: Tensor) -> None:
    rows = rows[::2]
    expected = exact(trained, rows)
    found = torch.stack(
        [products(GradientSketcher(trained, size=64, seed=s).sketch(rows)) for s in range(64)]
    )
    error = (found.mean(dim=0) - expected) / (found.std(dim=0) / 8)
    assert error.abs().max() < 4
    assert found.std(dim=0).min() > 0


@pytest.mark.parametrize(
    ("architecture", "config", "num_layers"),
    [
        ("gpt2", {"n_embd": 32, "n_layer": 2, "n_head": 2}, 8),
        ("gpt_neox", {k: v for k, v in LLAMA.items() if k != "num_key_value_heads"}, 8),
        # The shared expert and its gate are linear and meet one row per token, the others are not.
        ("qwen2_moe", LLAMA | MOE, 16),
    ],
)
def test_any_architecture_will_do(architecture: str, config: dict, num_layers: int) -> None:
    net = build(architecture, **config)
    rows = torch.cat(batches(1, torch.Generator().manual_seed(2)))
    sketcher = GradientSketcher(net, size=1024)
    assert len(sketcher.layers) == num_layers
    assert cosine(products(sketcher.sketch(rows)), exact(net, rows)) > 0.99


def test_a_gradient_is_sketched_alike_in_any_company(
    trained: SequenceLossNetwork, rows: Tensor, monkeypatch: pytest.MonkeyPatch
) -> None:
    sketcher = GradientSketcher(trained, size=1024)
    together = sketcher.sketch(rows)
    monkeypatch.setattr(gradient_sketch, "_TOKENS_AT_ONCE", 3 * LENGTH)
    monkeypatch.setattr(network_module, "_LARGEST_LOGITS", 2 * LENGTH * 320)
    torch.testing.assert_close(sketcher.sketch(rows), together, rtol=1e-3, atol=1e-3)
    assert together.shape == (len(rows), 1024)
    assert together.abs().mean() > 0.1


def test_sketches_are_added_up_in_float32_under_bf16(
    trained: SequenceLossNetwork, rows: Tensor
) -> None:
    sketcher = GradientSketcher(trained, size=1024)
    with torch.autocast("cpu", torch.bfloat16):
        low = sketcher.sketch(rows)
    assert low.dtype == torch.float32
    assert not torch.equal(low.bfloat16().float(), low)
    assert cosine(low.double(), sketcher.sketch(rows).double()) > 0.999


def test_nothing_is_left_behind(trained: SequenceLossNetwork, rows: Tensor) -> None:
    weights = [p.clone() for p in trained.parameters()]
    for parameter in trained.parameters():
        parameter.grad = torch.ones_like(parameter)
    state = torch.get_rng_state()
    with torch.no_grad():
        GradientSketcher(trained, size=16).sketch(rows)
    assert torch.equal(torch.get_rng_state(), state)
    for parameter, before in zip(trained.parameters(), weights, strict=True):
        assert torch.equal(parameter, before)
        assert parameter.grad is not None
        assert bool((parameter.grad == 1).all())
        parameter.grad = None
    assert not any(layer._forward_hooks for layer in linear_layers(trained).values())


def test_the_seed_decides_the_projections(trained: SequenceLossNetwork, rows: Tensor) -> None:
    one, again, other = (
        GradientSketcher(trained, size=64, seed=seed).sketch(rows) for seed in (3, 3, 4)
    )
    assert torch.equal(one, again)
    assert abs(cosine(one, other)) < 0.5


@pytest.fixture
def compilations() -> Iterator[list[int]]:
    torch.compiler.reset()
    yield []
    torch.compiler.reset()


def test_a_compiled_network_is_sketched_as_it_was_written(
    rows: Tensor, compilations: list[int]
) -> None:
    def backend(graph: torch.fx.GraphModule, inputs: list[Tensor]) -> object:
        compilations.append(len(inputs))
        return graph.forward

    net, plain = build(), build()
    net.model.base_model.compile(backend=backend)
    losses = net(rows)
    compiled = len(compilations)
    assert compiled > 0
    sketches = GradientSketcher(net, size=64).sketch(rows)
    torch.testing.assert_close(sketches, GradientSketcher(plain, size=64).sketch(rows))
    torch.testing.assert_close(net(rows), losses)
    assert len(compilations) == compiled
    assert net.model.base_model._compiled_call_impl is not None


def test_a_sequence_without_a_finite_loss_has_no_sketch(rows: Tensor) -> None:
    net = build(**LLAMA, tie_word_embeddings=False)
    rows[3, 5] = 256
    sketcher = GradientSketcher(net, size=64)
    before = sketcher.sketch(rows)
    net.model.get_input_embeddings().weight.data[256] = torch.inf
    after = sketcher.sketch(rows)
    assert after[3].isnan().all()
    others = torch.arange(len(rows)) != 3
    torch.testing.assert_close(after[others], before[others])


def test_layers_are_chosen_by_name(trained: SequenceLossNetwork, rows: Tensor) -> None:
    sketcher = GradientSketcher(trained, size=64, layers=r"model\.layers\.1\.mlp\..*")
    assert [name.rsplit(".", 1)[1] for name in sketcher.layers] == [
        "gate_proj",
        "up_proj",
        "down_proj",
    ]
    assert not any("head" in name for name in linear_layers(trained))
    assert sketcher.sketch(rows).norm() < GradientSketcher(trained, size=64).sketch(rows).norm()


def test_frozen_layers_have_no_gradient(rows: Tensor) -> None:
    net = build()
    net.model.base_model.layers[0].requires_grad_(False)
    assert all("layers.1." in name for name in linear_layers(net))
    assert GradientSketcher(net, size=16).sketch(rows).abs().min() > 0


def test_a_pattern_must_match_a_layer(trained: SequenceLossNetwork) -> None:
    message = r"gradient_layers must match .* such as 'model.layers.0.self_attn.q_proj', got 'mlp'"
    with pytest.raises(ValueError, match=message):
        GradientSketcher(trained, size=16, layers="mlp")


def test_a_layer_that_mixes_tokens_is_refused(rows: Tensor) -> None:
    net = build()
    first = net.model.base_model.layers[0]
    first.pool = nn.Linear(64, 64)
    first.register_forward_hook(lambda layer, _, out: out + layer.pool(out.mean(1, keepdim=True)))
    with pytest.raises(ValueError, match=r"model.layers.0.pool does not meet every token"):
        GradientSketcher(net, size=16).sketch(rows)
    GradientSketcher(net, size=16, layers=".*_proj").sketch(rows)


def test_the_shape_of_a_layer_is_told_outputs_first() -> None:
    assert gradient_sketch.layer_shape(nn.Linear(3, 5)) == (5, 3)
    assert gradient_sketch.layer_shape(Conv1D(5, 3)) == (5, 3)
