from pathlib import Path

import pytest
from small_runs import configuration, finish, run_here, start

from trainer.network import build_network
from trainer.sharding import decoder_layers
from trainer.summary import load_summary


@pytest.mark.parametrize(
    ("architecture", "config"),
    [
        ("llama", {"hidden_size": 16, "num_attention_heads": 2, "num_hidden_layers": 3}),
        ("gpt2", {"n_embd": 16, "n_head": 2, "n_layer": 3}),
    ],
)
def test_the_layers_are_found(architecture: str, config: dict) -> None:
    net = build_network(
        architecture=architecture,
        config=config,
        pretrained=None,
        vocab_size=64,
        sequence_length=8,
        seed=0,
    )
    layers = decoder_layers(net)
    assert len(layers) == 3
    assert len({type(layer) for layer in layers}) == 1


@pytest.mark.slow
@pytest.mark.dist
def test_a_sharded_run_learns_what_a_single_one_does(corpus: Path, tmp_path: Path) -> None:
    policy = {"class_path": "policies.Proportional"}
    alone = run_here(configuration(corpus, tmp_path / "alone", policy=policy))
    strategy = {"class_path": "lightning.pytorch.strategies.ModelParallelStrategy"}
    config = configuration(
        corpus,
        tmp_path / "sharded",
        policy=policy,
        trainer__devices=2,
        trainer__strategy=strategy,
        trainer__max_steps=10,
        trainer__val_check_interval=5,
    )
    finish(start(config))
    config["trainer"]["max_steps"] = 20
    finish(start(config, "--ckpt_path", "last"))
    ours = load_summary(tmp_path / "sharded")
    theirs = load_summary(alone)
    assert ours["step"] == theirs["step"] == 20
    for name, row in theirs["domains"].items():
        assert ours["domains"][name]["tokens"] == row["tokens"]
        # The learning rate of the first half was planned for ten steps.
        assert ours["domains"][name]["validation_bits_per_byte"] == pytest.approx(
            row["validation_bits_per_byte"], rel=0.05
        )
    assert (tmp_path / "sharded" / "model" / "model.safetensors").exists()
