from pathlib import Path

import pytest
import torch
import transformers
from torch.nn import functional

from trainer import network as network_module
from trainer.network import SequenceLossNetwork, build_network, num_embeddings

SMALL = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}


def small(**changes) -> SequenceLossNetwork:
    settings = {
        "architecture": "llama",
        "config": SMALL,
        "pretrained": None,
        "vocab_size": 257,
        "sequence_length": 16,
        "seed": 0,
    }
    return build_network(**{**settings, **changes})


def tokens(rows: int = 5) -> torch.Tensor:
    return torch.randint(0, 257, (rows, 17), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("llama", SMALL),
        ("qwen3", {**SMALL, "head_dim": 16}),
        ("gpt_neox", {k: v for k, v in SMALL.items() if k != "num_key_value_heads"}),
        ("gpt2", {"n_embd": 32, "n_layer": 1, "n_head": 2}),
    ],
)
def test_losses_are_those_of_the_model_itself(architecture: str, config: dict) -> None:
    net = small(architecture=architecture, config=config).eval()
    batch = tokens()
    logits = net.model(input_ids=batch[:, :-1]).logits
    expected = torch.stack(
        [
            functional.cross_entropy(row, target, reduction="sum")
            for row, target in zip(logits, batch[:, 1:], strict=True)
        ]
    )
    torch.testing.assert_close(net(batch), expected, rtol=1e-5, atol=1e-4)


def test_sliced_logits_give_the_same_losses_and_gradients(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole, sliced = small(), small()
    whole(tokens()).sum().backward()
    monkeypatch.setattr(network_module, "_LARGEST_LOGITS", 2 * 16 * 320)
    losses = sliced(tokens())
    losses.sum().backward()
    torch.testing.assert_close(losses, whole(tokens()), rtol=1e-6, atol=1e-5)
    for (name, ours), theirs in zip(sliced.named_parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-5, msg=name)


def test_losses_of_tokens_are_what_those_of_sequences_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    net = small()
    each = net.token_losses(tokens())
    assert each.shape == (5, 16)
    assert torch.equal(each.sum(dim=1), net(tokens()))
    logits = net.model(input_ids=tokens()[:, :-1]).logits
    expected = functional.cross_entropy(logits.mT, tokens()[:, 1:], reduction="none")
    torch.testing.assert_close(each, expected, rtol=1e-5, atol=1e-5)
    monkeypatch.setattr(network_module, "_LARGEST_LOGITS", 2 * 16 * 320)
    torch.testing.assert_close(net.token_losses(tokens()), each, rtol=1e-6, atol=1e-5)
    with torch.autocast("cpu", torch.bfloat16):
        assert net.token_losses(tokens()).dtype == torch.float32


def test_losses_are_summed_in_float32_under_bf16() -> None:
    net = small()
    with torch.autocast("cpu", torch.bfloat16):
        losses = net(tokens())
    assert losses.dtype == torch.float32
    torch.testing.assert_close(losses, net(tokens()), rtol=2e-2, atol=0.5)


def test_the_seed_decides_the_weights_and_touches_no_other_generator() -> None:
    before = torch.get_rng_state()
    first, second, other = small(), small(), small(seed=1)
    assert torch.equal(torch.get_rng_state(), before)
    pairs = list(zip(first.parameters(), second.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b, _ in pairs)
    assert any(not torch.equal(a, c) for a, _, c in pairs)


def test_the_vocabulary_is_padded() -> None:
    assert small().vocab_size == 320


def test_a_saved_model_opens_again(tmp_path: Path) -> None:
    net = small()
    net.model.save_pretrained(tmp_path)
    again = transformers.AutoModelForCausalLM.from_pretrained(tmp_path)
    assert num_embeddings(again) == 320
    loaded = small(pretrained=tmp_path)
    torch.testing.assert_close(loaded(tokens()), net(tokens()))
    with pytest.raises(ValueError, match="knows 320 tokens, the corpus uses 1000"):
        small(pretrained=tmp_path, vocab_size=1000)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"architecture": "lama"}, "model.architecture 'lama' is no model_type"),
        ({"config": {"hiden_size": 4}}, "does not know: hiden_size"),
        ({"pretrained": Path("/nowhere")}, "must be a folder with config.json"),
        (
            {"architecture": "gemma2", "config": {**SMALL, "head_dim": 16}},
            "changes its logits after the head",
        ),
    ],
)
def test_models_that_cannot_be_used_are_refused(changes: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        small(**changes)
