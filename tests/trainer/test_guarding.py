"""Steps that would spoil the network are skipped and counted."""

from __future__ import annotations

from pathlib import Path
from unittest import mock

import pytest
import torch
from small_runs import configuration, run_here
from torch import Tensor

from mixer.batch import Batch
from trainer.guarding import not_finite
from trainer.module import LanguageModel
from trainer.network import SequenceLossNetwork
from trainer.summary import load_summary


@pytest.mark.parametrize(
    ("spoilt", "expected"), [(0.0, 0), (1e38, 0), (float("nan"), 1), (float("inf"), 1)]
)
def test_whatever_is_not_finite_is_found(spoilt: float, expected: int) -> None:
    gradients = [torch.zeros(3, 2), torch.full((1,), spoilt), torch.zeros(0)]
    assert not_finite(gradients, num_ranks=1) == expected


def test_a_spoilt_step_is_skipped_and_counted(corpus: Path, tmp_path: Path) -> None:
    spoiler = {"class_path": "recording.Spoiler", "init_args": {"step": 7}}
    summary = load_summary(
        run_here(configuration(corpus, tmp_path / "run", trainer__callbacks=[spoiler]))
    )
    assert summary["finished"]
    assert summary["skipped_steps"] == 1
    assert all(row["validation_bits_per_byte"] < 12 for row in summary["domains"].values())


def test_a_language_without_finite_losses_spoils_nothing(corpus: Path, tmp_path: Path) -> None:
    spoilt: list[Tensor] = []
    training_step, forward = LanguageModel.training_step, SequenceLossNetwork.forward

    def remember(self: LanguageModel, batch: Batch, batch_idx: int) -> object:
        spoilt[:] = [batch.domain == 2]
        output = training_step(self, batch, batch_idx)
        spoilt.clear()
        return output

    def spoil(self: SequenceLossNetwork, tokens: Tensor) -> Tensor:
        losses = forward(self, tokens)
        return torch.where(spoilt[0], torch.nan, losses) if spoilt else losses

    config = configuration(corpus, tmp_path / "run", trainer__log_every_n_steps=1)
    with (
        mock.patch.object(LanguageModel, "training_step", remember),
        mock.patch.object(SequenceLossNetwork, "forward", spoil),
    ):
        summary = load_summary(run_here(config))
    assert summary["finished"]
    assert summary["skipped_steps"] == 0
    domains = summary["domains"]
    assert domains["sw"]["dropped_sequences"] * 32 == domains["sw"]["tokens"] > 0
    assert domains["en"]["dropped_sequences"] == 0
    assert all(row["validation_bits_per_byte"] < 12 for row in domains.values())
    assert sum(row["weight"] for row in domains.values()) == pytest.approx(1)
