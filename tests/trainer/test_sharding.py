from pathlib import Path
from typing import Any

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


def run_elsewhere(config: dict[str, Any], *words: str) -> None:
    finish(start(config, *words))


@pytest.mark.slow
@pytest.mark.dist
def test_a_sharded_run_learns_what_a_single_one_does(corpus: Path, tmp_path: Path) -> None:
    strategy = {
        "class_path": "lightning.pytorch.strategies.ModelParallelStrategy",
        "init_args": {"data_parallel_size": 2, "tensor_parallel_size": 1},
    }
    changes: dict[str, dict[str, Any]] = {
        "alone": {},
        "sharded": {"trainer__devices": 2, "trainer__strategy": strategy},
    }
    for name, change in changes.items():
        config = configuration(
            corpus,
            tmp_path / name,
            policy={"class_path": "policies.Proportional"},
            trainer__max_steps=10,
            trainer__val_check_interval=5,
            **change,
        )
        train = run_here if name == "alone" else run_elsewhere
        train(config)
        config["trainer"]["max_steps"] = 20
        train(config, "--ckpt_path", "last")
    ours = load_summary(tmp_path / "sharded")
    theirs = load_summary(tmp_path / "alone")
    assert ours["step"] == theirs["step"] == 20
    for name, row in theirs["domains"].items():
        assert ours["domains"][name]["tokens"] == row["tokens"]
        assert ours["domains"][name]["validation_bits_per_byte"] == pytest.approx(
            row["validation_bits_per_byte"], rel=1e-3
        )
    assert (tmp_path / "sharded" / "model" / "model.safetensors").exists()


@pytest.mark.slow
@pytest.mark.dist
def test_ranks_that_would_train_copies_are_refused(corpus: Path, tmp_path: Path) -> None:
    strategy = {"class_path": "lightning.pytorch.strategies.ModelParallelStrategy"}
    config = configuration(corpus, tmp_path / "run", trainer__devices=2, trainer__strategy=strategy)
    process = start(config)
    output, _ = process.communicate(timeout=240)
    assert process.returncode != 0
    assert "tensor_parallel_size: 1" in output.decode()
