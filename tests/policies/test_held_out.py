from __future__ import annotations

from dataclasses import replace

import numpy as np

from policies.held_out import held_out_loss
from policies.signals import Signal, ValidationLoss
from policies.synthetic import make_feedback, make_task


def test_unusable_losses_are_marked() -> None:
    task = make_task(8)
    nats = np.array([1.0, np.nan, np.inf, -np.inf, -1.0, 0.0, 1e308, 99.0])
    loss = ValidationLoss(nats_per_token=nats, bits_per_byte=nats[::-1], standard_error=nats)
    feedback = replace(make_feedback(task, task.prior, 0), signals={Signal.VALIDATION_LOSS: loss})
    expected = np.array([1.0, *np.full(6, np.nan), 99.0])
    np.testing.assert_equal(held_out_loss(feedback, "nats_per_token"), expected)
    np.testing.assert_equal(held_out_loss(feedback, "bits_per_byte"), expected[::-1])


def test_no_measurement_is_nan() -> None:
    task = make_task(3)
    loss = held_out_loss(make_feedback(task, task.prior, 0), "bits_per_byte")
    np.testing.assert_equal(loss, np.full(3, np.nan))
