"""A change of weights shows in the very next batch the model trains on."""

from pathlib import Path

import numpy as np
import pytest
from lightning.pytorch import Callback
from small_runs import configuration, read_record, run_here

RECORDER = "recording.Recorder"


@pytest.mark.parametrize("accumulate", [1, 2])
def test_each_decision_rules_its_whole_step(corpus: Path, tmp_path: Path, accumulate: int) -> None:
    config = configuration(
        corpus,
        tmp_path / "run",
        policy={"class_path": "recording.OneAtATime"},
        trainer__accumulate_grad_batches=accumulate,
        trainer__val_check_interval=5,
        trainer__callbacks=[
            {"class_path": RECORDER, "init_args": {"folder": str(tmp_path / "record")}}
        ],
    )
    run_here(config)
    record = read_record(tmp_path / "record")
    assert len(record) == 20 * accumulate
    for batch, entry in record.items():
        chosen = batch // accumulate * 7 % 3
        assert {domain for domain, _, _ in entry["rows"]} == {chosen}
        assert len(entry["rows"]) == 8 // accumulate


class Switch(Callback):
    """Sets one-hot weights between two steps, behind the policy's back."""

    def __init__(self) -> None:
        self.seen: list[set[int]] = []
        self.asked: list[int] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.seen.append(set(batch.domain.tolist()))
        chosen = batch_idx % 3
        self.asked.append(chosen)
        trainer.datamodule.mixture.set_weights(np.eye(3)[chosen])


def test_weights_set_between_two_steps_rule_the_next(
    corpus: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    switch = Switch()
    from trainer import fit

    original = fit.GlotmixCLI.instantiate_trainer

    def with_switch(cli, **settings):
        trainer = original(cli, **settings)
        trainer.callbacks.append(switch)
        return trainer

    monkeypatch.setattr(fit.GlotmixCLI, "instantiate_trainer", with_switch)
    run_here(configuration(corpus, tmp_path / "run", policy={"class_path": "policies.Uniform"}))
    assert len(switch.seen) == 20
    assert switch.seen[0] == {0, 1, 2}
    assert switch.seen[1:] == [{chosen} for chosen in switch.asked[:-1]]
