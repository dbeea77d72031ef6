"""Whole small runs: what they write, and what is refused before they start."""

import json
import re
from argparse import ArgumentError
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from small_runs import configuration, run_here
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from trainer.chart_layout import layout
from trainer.parsing import reason
from trainer.summary import load_summary
from trainer.table import render


@pytest.fixture(scope="module")
def run_dir(corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run."""
    folder = tmp_path_factory.mktemp("runs") / "ucb"
    return run_here(configuration(corpus, folder, trainer__log_every_n_steps=5))


def scalars(run_dir: Path) -> EventAccumulator:
    events = EventAccumulator(str(run_dir))
    events.Reload()
    return events


def test_the_dashboard_has_every_domain(run_dir: Path) -> None:
    events = scalars(run_dir)
    tags = set(events.Tags()["scalars"])
    for name in ("en", "de", "sw"):
        for tag in (
            "train/bits_per_byte",
            "validation/bits_per_byte",
            "validation/loss",
            "mixture/weight",
            "mixture/epochs",
            "mixture/tokens",
        ):
            assert f"{tag}/{name}" in tags
    assert {"validation/bits_per_byte_mean", "validation/bits_per_byte_worst"} <= tags
    assert any(tag.startswith("policy/") for tag in tags)
    assert [event.step for event in events.Scalars("mixture/weight/en")] == [5, 10, 15, 20]
    assert [event.step for event in events.Scalars("validation/loss/en")] == [10, 20]
    weights = [events.Scalars(f"mixture/weight/{name}")[-1].value for name in ("en", "de", "sw")]
    assert sum(weights) == pytest.approx(1, abs=1e-5)
    tokens = [events.Scalars(f"mixture/tokens/{name}")[-1].value for name in ("en", "de", "sw")]
    assert sum(tokens) == 20 * 8 * 32


def test_the_layout_groups_the_domains(run_dir: Path) -> None:
    events = EventAccumulator(str(run_dir), size_guidance={"tensors": 0})
    events.Reload()
    config = events.Tensors("custom_scalars__config__")[0].tensor_proto.string_val[0]
    assert b"mixture/weight/.*" in config
    assert b"validation/bits_per_byte/.*" in config


def test_the_summary_counts_every_token(run_dir: Path) -> None:
    summary = load_summary(run_dir)
    assert summary["finished"]
    assert summary["step"] == 20
    domains = summary["domains"]
    assert sum(row["tokens"] for row in domains.values()) == 20 * 8 * 32
    assert sum(row["mean_weight"] for row in domains.values()) == pytest.approx(1)
    for row in domains.values():
        assert 0 < row["validation_bits_per_byte"] < 12
        assert row["epochs"] > 0
    table = render([("runs/a", summary), ("runs/b", summary)])
    assert "worst" in table
    assert "20 of 20" in table


def test_validate_and_test_report_the_same_model(run_dir: Path, corpus: Path, capsys) -> None:
    config = configuration(corpus, run_dir)
    run_here(config, "--ckpt_path", "last", command="validate")
    document = json.loads((run_dir / "validation.json").read_text())
    summary = load_summary(run_dir)
    for name, row in document["domains"].items():
        trained = summary["domains"][name]["validation_bits_per_byte"]
        assert row["bits_per_byte"] == pytest.approx(trained, rel=1e-6)
    run_here(config, "--ckpt_path", "last", command="test")
    tested = json.loads((run_dir / "test.json").read_text())
    assert tested["domains"]["en"]["sequences"] > 32
    assert "worst" in capsys.readouterr().out


def test_the_model_opens_without_us(run_dir: Path) -> None:
    model = transformers.AutoModelForCausalLM.from_pretrained(run_dir / "model")
    logits = model(torch.zeros(1, 4, dtype=torch.long)).logits
    assert logits.shape == (1, 4, 320)


def test_the_configuration_is_kept(run_dir: Path) -> None:
    assert "UCB" in (run_dir / "config.yaml").read_text()


def test_accumulated_steps_train_on_the_same_global_batches(corpus: Path, tmp_path: Path) -> None:
    whole = run_here(configuration(corpus, tmp_path / "whole"))
    parts = run_here(
        configuration(
            corpus,
            tmp_path / "parts",
            trainer__accumulate_grad_batches=4,
            trainer__val_check_interval=40,
        )
    )
    ours, theirs = (load_summary(run)["domains"] for run in (whole, parts))
    for name, row in ours.items():
        assert theirs[name]["tokens"] == row["tokens"]
        assert theirs[name]["validation_bits_per_byte"] == pytest.approx(
            row["validation_bits_per_byte"], rel=1e-3
        )


@pytest.mark.slow
def test_bf16_and_compile_run(corpus: Path, tmp_path: Path) -> None:
    folder = run_here(
        configuration(
            corpus,
            tmp_path / "run",
            trainer__precision="bf16-mixed",
            trainer__max_steps=4,
            trainer__val_check_interval=4,
            trainer__log_every_n_steps=2,
            model__compile_network=True,
        )
    )
    summary = load_summary(folder)
    assert all(row["validation_bits_per_byte"] < 12 for row in summary["domains"].values())


def test_a_policy_that_breaks_late_does_not_stop_the_run(corpus: Path, tmp_path: Path) -> None:
    policy = {"class_path": "recording.Broken", "init_args": {"since": 6}}
    with pytest.warns(UserWarning, match="step 6: weight by policy Broken .* keeping the last"):
        folder = run_here(configuration(corpus, tmp_path / "run", policy=policy))
    assert load_summary(folder)["step"] == 20
    assert scalars(folder).Scalars("policy/invalid_decisions")[-1].value == 14


def fixed(weights: dict[str, float]) -> dict[str, Any]:
    return {"class_path": "policies.Fixed", "init_args": {"weights": weights}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policy": fixed({"en": 0.5, "xx": 0.5})}, "weights.*xx"),
        ({"policy": fixed({"en": 0.5, "de": 0.4})}, "weights.*sum to one"),
        ({"policy": {"class_path": "recording.Broken"}}, "weight by policy Broken"),
        ({"prior": {"class_path": "recording.Broken"}}, "weight by prior Broken"),
        ({"target": {"xx": 1.0}}, "target names unknown domains"),
        ({"target": {"en": 0.4}}, "target must sum to one"),
        ({"data__batch_size": 0}, "data.batch_size must be at least 1, got 0"),
        ({"data__sequence_length": 0}, "data.sequence_length must be at least 1"),
        ({"data__validation_sequences": 0}, "data.validation_sequences must be at least 1"),
        ({"data__sequence_length": 4000}, "sequence_length 4000 is too long for domain 'sw'"),
        ({"data__domains": ["en", "xx"]}, r"domains \['xx'\] are not in"),
        ({"data__corpus": "/nowhere"}, "glotmix prepare"),
        ({"trainer__accumulate_grad_batches": 3}, "batch_size must be a positive multiple"),
        ({"trainer__max_steps": -1}, "trainer.max_steps must be set"),
        ({"model__learning_rate": 0.0}, "model.learning_rate must be positive"),
        ({"model__warmup_steps": -1}, "model.warmup_steps must not be negative"),
        ({"model__final_factor": 2.0}, r"model.final_factor must be in \[0, 1\]"),
        ({"model__architecture": "lama"}, "model.architecture 'lama'"),
        ({"model__config": {"hiden": 3}}, "does not know: hiden"),
    ],
)
def test_bad_configurations_are_refused_before_training(
    corpus: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        run_here(configuration(corpus, tmp_path / "run", **changes))
    assert not list(tmp_path.glob("run/checkpoints/*"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"policy": {"class_path": "policies.UCB", "init_args": {"gama": 1}}}, "gama"),
        ({"policy": {"class_path": "policies.UBC"}}, "UBC"),
        ({"policy": {"class_path": "Ado"}}, "policy must be one of ADO, Aioli, .* got 'Ado'"),
        ({"data__batch_sise": 4}, "batch_sise"),
        ({"seed_everything": True}, "seed_everything must be a whole number"),
    ],
)
def test_misspelt_options_are_named_in_one_line(
    corpus: Path, tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises((ArgumentError, ValueError)) as caught:
        run_here(configuration(corpus, tmp_path / "run", **changes))
    told = reason(caught.value)
    assert re.search(message, told)
    assert "\n" not in told
    assert len(told) < 400


def test_charts_of_what_a_run_has_not_are_left_out() -> None:
    plain, whole = (layout(signals=both, constraints=both) for both in (False, True))
    assert set(whole) - set(plain) == {"cost of signals", "constraints"}
    assert plain["mixture"]["weights"] == ["Multiline", ["mixture/weight/.*"]]


def test_without_a_logger_the_configuration_is_kept_all_the_same(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = configuration(corpus, tmp_path / "run", trainer__logger=False, trainer__max_steps=2)
    assert "UCB" in (run_here(config) / "config.yaml").read_text()
    assert not (tmp_path / "config.yaml").exists()
