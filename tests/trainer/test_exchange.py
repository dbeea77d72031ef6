from pathlib import Path

import numpy as np
import pytest
import torch

from policies import Signal
from policies.synthetic import make_signals, make_task
from trainer.exchange import (
    PendingFeedback,
    StepRecord,
    feedback_document,
    feedback_from_document,
    fingerprint,
)

RECORD = StepRecord(
    step=4,
    weights=np.array([0.25, 0.75]),
    counts=np.array([2, 6]),
    epochs=np.array([0.5, 1.5]),
    sequence_domain=np.repeat([0, 1], [2, 6]),
    sequence_length=16,
    learning_rate=0.25,
)


def test_micro_batches_come_back_in_the_order_of_the_global_batch() -> None:
    losses, sizes = torch.arange(8.0), torch.arange(8.0) + 100
    parts = [(losses[micro::2], sizes[micro::2]) for micro in range(2)]
    feedback = PendingFeedback(RECORD, parts, num_ranks=1).feedback()
    assert feedback.sequence_loss.tolist() == losses.tolist()
    assert feedback.sequence_bytes.tolist() == sizes.tolist()
    assert feedback.sequence_tokens.tolist() == [16.0] * 8
    assert feedback.step == 4
    assert feedback.counts.tolist() == [2, 6]


def test_ranks_are_interleaved_as_they_were_dealt(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = torch.arange(8.0)
    own = [
        [(losses[micro * 2 + rank :: 4], losses[micro * 2 + rank :: 4]) for micro in range(2)]
        for rank in range(2)
    ]
    sent: list[torch.Tensor] = []

    def keep(outputs: list[torch.Tensor], value: torch.Tensor) -> None:
        sent.append(value)

    def deliver(outputs: list[torch.Tensor], value: torch.Tensor) -> None:
        for output, part in zip(outputs, sent, strict=True):
            output.copy_(part)

    gather = "trainer.exchange.distributed.all_gather"
    monkeypatch.setattr(gather, keep)
    for rank in range(2):
        PendingFeedback(RECORD, own[rank], num_ranks=2)
    monkeypatch.setattr(gather, deliver)
    feedback = PendingFeedback(RECORD, own[0], num_ranks=2).feedback()
    assert feedback.sequence_loss.tolist() == losses.tolist()

    sent[1] = sent[1].clone()
    sent[1][..., -1] += 1
    with pytest.raises(RuntimeError, match="ranks drew step 4 at different weights"):
        PendingFeedback(RECORD, own[0], num_ranks=2).feedback()


def test_a_fingerprint_sees_the_last_bit() -> None:
    weights = np.array([0.25, 0.75])
    assert fingerprint(weights) != fingerprint(np.nextafter(weights, 1))
    assert float(np.float32(fingerprint(weights))) == fingerprint(weights)


def test_feedback_survives_a_checkpoint_to_the_bit(tmp_path: Path) -> None:
    losses = torch.tensor([0.1, float("nan"), float("inf"), 1e-30, 3.0, 4.0, 5.0, 1 / 3])
    signals = make_signals(make_task(3), 0)
    feedback = PendingFeedback(RECORD, [(losses, losses)], 1, signals).feedback()
    # As Lightning loads a checkpoint: nothing but plain values and tensors.
    torch.save(feedback_document(feedback), tmp_path / "document")
    document = torch.load(tmp_path / "document", weights_only=True)
    again = feedback_from_document(document)
    assert again.step == feedback.step
    assert again.learning_rate == feedback.learning_rate == 0.25
    arrays = [
        (getattr(again, name), getattr(feedback, name))
        for name in document
        if name not in ("step", "learning_rate", "signals")
    ]
    assert set(again.signals) == set(Signal)
    for signal, answer in again.signals.items():
        assert type(answer) is type(signals[signal])
        arrays += zip(answer, signals[signal], strict=True)
    for ours, theirs in arrays:
        assert ours.dtype == theirs.dtype
        assert ours.tobytes() == theirs.tobytes()
