from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from every_policy import every_policy

from policies import Feedback, Policy, Signal, Task
from policies.feedback import LN2
from policies.published.pike import PiKE
from policies.signals import (
    MAX_LOSS,
    Array,
    LossUnit,
    ReferenceLoss,
    ValidationLoss,
    check_unit,
)
from policies.synthetic import make_feedback, make_signals, make_task

STEPS = 24
FAULTY = 6  # From this step on the losses of one domain are not to be believed.


def feedback_with(task: Task, weights: Array, step: int, loss: float) -> Feedback:
    """A step's feedback; late in the run the first domain's losses are ``loss`` in either unit."""
    feedback, signals = make_feedback(task, weights, step), dict(make_signals(task, step))
    nats = feedback.sequence_loss / feedback.sequence_tokens
    held_out = np.array(signals[Signal.VALIDATION_LOSS].bits_per_byte)
    excess = np.abs(signals[Signal.REFERENCE_LOSS].excess)
    if step >= FAULTY:
        nats[feedback.sequence_domain == 0] = loss
        held_out[0] = excess[0] = loss
    signals[Signal.VALIDATION_LOSS] = ValidationLoss(held_out, held_out, 0.01 + 0 * held_out)
    signals[Signal.REFERENCE_LOSS] = ReferenceLoss(excess, excess)
    return replace(
        feedback,
        sequence_loss=nats * feedback.sequence_tokens,
        # So long that a nat per token is a bit per byte.
        sequence_bytes=feedback.sequence_tokens / LN2,
        signals=signals,
    )


def weights_after(policy: Policy, task: Task, loss: float) -> Array:
    state = policy.init(task)
    for step in range(STEPS):
        weights = policy.decide(state, step).weights
        state = policy.update(state, feedback_with(task, task.prior, step, loss))
    return weights


@pytest.mark.parametrize(
    "name",
    [
        "ADO",
        "DUMP",
        "DoReMi",
        "Equitable",
        "ODM",
        "PiKE",
        "SkillIt",
        "UCB",
        "Velocitune",
    ],
)
def test_all_rules_believe_losses_up_to_the_same(name: str, tmp_path: Path) -> None:
    (largest,) = set(MAX_LOSS.values())
    task = replace(make_task(4), prior=np.full(4, 0.25), total_steps=STEPS)
    policy = {**every_policy(task, tmp_path), "PiKE": PiKE(update_every=1, tau=0.1)}[name]
    none, beyond, within = (
        weights_after(policy, task, loss) for loss in (np.nan, 1.01 * largest, 0.99 * largest)
    )
    np.testing.assert_allclose(beyond, none, rtol=1e-9)
    assert np.abs(within - none).max() > 1e-3


def test_units_are_checked() -> None:
    for unit in get_args(LossUnit):
        check_unit(unit)
    assert set(MAX_LOSS) == set(get_args(LossUnit))
    with pytest.raises(ValueError, match="unit must be 'nats_per_token' or 'bits_per_byte', got"):
        check_unit("bits")
