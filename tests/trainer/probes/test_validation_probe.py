"""Held-out losses that a decision asks for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from asked_runs import run

from mixer.corpus import Corpus
from mixer.evaluation import EvaluationLoader
from trainer.probes.validation import ValidationLossProbe

UNMOVED = {"learning_rate": 1e-30}


def test_losses_are_those_of_the_validation_split(corpus: Path) -> None:
    asking, module = run(corpus, ValidationLossProbe(sequences=4), model=UNMOVED)
    streams = Corpus(corpus).streams("validation", sequence_length=32, seed=0)
    loader = EvaluationLoader(streams, sequences_per_domain=4, batch_size=12)
    (batch,) = list(loader)
    with torch.no_grad():
        losses = module.network.eval()(batch.tokens)
    expected = losses.reshape(3, 4).sum(dim=1).numpy() / (4 * 32)
    np.testing.assert_allclose(asking.answers[0].nats_per_token, expected, rtol=1e-5)
    assert asking.tokens == [3 * 4 * 32 / 3]


def test_the_same_sequences_are_used_each_time(corpus: Path) -> None:
    asking, _ = run(corpus, ValidationLossProbe(sequences=4), steps=3, model=UNMOVED)
    first, *others = asking.answers
    for other in others:
        np.testing.assert_array_equal(other.bits_per_byte, first.bits_per_byte)
    assert (first.standard_error > 0).all()


def test_neyman_takes_more_where_losses_vary_more(corpus: Path) -> None:
    probe = ValidationLossProbe(sequences=10, share="neyman")
    asking, _ = run(corpus, probe, steps=2, model=UNMOVED)
    deviation = asking.answers[0].standard_error * np.sqrt(10)
    counts = np.array(probe.state_dict()["counts"])
    assert counts.argmax() == deviation.argmax()
    np.testing.assert_allclose(counts, 30 * deviation / deviation.sum(), atol=0.5)
    again = ValidationLossProbe(sequences=10, share="neyman")
    again.load_state_dict(probe.state_dict())
    resumed, _ = run(corpus, again, model=UNMOVED)
    np.testing.assert_array_equal(resumed.answers[0].bits_per_byte, asking.answers[1].bits_per_byte)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"sequences": 1}, "validation_sequences must be at least 2, got 1"),
        ({"share": "even"}, "validation_share must be 'equal' or 'neyman', got 'even'"),
    ],
)
def test_settings_are_checked(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ValidationLossProbe(**settings)  # type: ignore[arg-type]
