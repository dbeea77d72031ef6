from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from policies.minimax.blocks import Schedule
from policies.minimax.pairs import compare, hear
from policies.minimax.state import Block, MinimaxState, first_state
from policies.signals import Array, Signal, ValidationLoss
from policies.synthetic import make_feedback, make_task

TASK = replace(make_task(3, total_steps=9), prior=np.full(3, 1 / 3))
COUNTS = np.array([[9, 9, 9], [6, 2, 2], [4, 4, 2], [2, 4, 4], [2, 6, 2]])
LOSSES = {0: [4.0, 4.0, 4.0], 2: [3.0, 3.5, 3.8], 4: [2.5, 3.1, 3.7]}  # By step.


def after(steps: int) -> MinimaxState:
    """The state after so many steps of two blocks of two steps each."""
    state = first_state(TASK, Schedule(block_steps=2, pairs=2), None, 16)
    for step in range(steps):
        feedback = replace(make_feedback(TASK, TASK.prior, step), counts=COUNTS[step])
        if step in LOSSES:
            loss = np.array(LOSSES[step])
            signals = {Signal.VALIDATION_LOSS: ValidationLoss(loss, loss, 0 * loss)}
            feedback = replace(feedback, signals=signals)
        state = hear(state, feedback)
    return state


def test_a_block_sums_its_draws_and_measures_its_fall() -> None:
    np.testing.assert_allclose(after(1).loss, LOSSES[0])
    np.testing.assert_allclose(after(2).block.drawn, COUNTS[1])
    state = after(3)
    np.testing.assert_allclose(state.first.drawn, COUNTS[1] + COUNTS[2])
    np.testing.assert_allclose(state.first.drop, [1.0, 0.5, 0.2])
    state = after(5)
    np.testing.assert_allclose(state.first.drop, [1.0, 0.5, 0.2])
    np.testing.assert_allclose(state.block.drawn, COUNTS[3] + COUNTS[4])
    np.testing.assert_allclose(state.block.drop, [0.5, 0.4, 0.1])


def compared(mean_drop: Array) -> MinimaxState:
    feedback = replace(make_feedback(TASK, TASK.prior, 4), learning_rate=0.006)
    return compare(after(5)._replace(mean_drop=mean_drop), feedback, memory=0.5)


def test_a_pair_tells_half_the_difference_of_its_blocks() -> None:
    """Less what learning slowed down from one block to the next: half of that between pairs."""
    mean = np.array([0.75, 0.45, 0.15])
    state = compared(mean + 0.2)
    shift = (np.array([10, 6, 4]) - [4, 10, 6]) / 40
    fall = (np.array([0.5, 0.1, 0.1]) - 0.1) / 2
    assert state.pace == 0.002  # The rate over the step between the blocks.
    assert state.pairs == 1
    np.testing.assert_allclose(state.mean_drop, mean)
    np.testing.assert_allclose(state.moments.cross, np.outer(fall, shift), atol=1e-12)
    np.testing.assert_allclose(state.moments.design, 0.002 * np.outer(shift, shift))


@pytest.mark.parametrize("recency", [0.0, 0.1])
def test_a_pair_tells_what_one_block_does_and_half_of_what_its_order_does(recency: float) -> None:
    """On losses that depend on all that was read, steeply, and on what was read last."""
    before, lean = np.full(3, 5.0), np.array([2.0, -1.0, -1.0])

    def losses(read: Array, last: Array) -> Array:
        return 40 / read - recency * last

    told, middles, ends = [], [], []
    for sign in (1, -1):
        first, second = 4 + sign * lean, 4 - sign * lean
        start = losses(before, np.full(3, 4.0))
        middle = losses(before + first, first)
        end = losses(before + first + second, second)
        state = after(5)._replace(
            first=Block(first, start - middle),
            block=Block(second, middle - end),
            mean_drop=(start - end) / 2,
        )
        feedback = replace(make_feedback(TASK, TASK.prior, 4), learning_rate=1.0)
        moments = compare(state, feedback, memory=1.0).moments
        told.append(moments.cross[:, 0] / (sign * lean[0] / 12))
        middles.append(middle)
        ends.append(end)
    one_block = (middles[1] - middles[0]) / 2
    order = (ends[0] - ends[1]) / 2
    np.testing.assert_allclose((told[0] - told[1]) / 2, one_block + order / 2)
    assert (np.abs(order) > 0).all() == (recency > 0)


def test_a_first_pair_has_nothing_to_compare_with() -> None:
    state = compared(np.full(3, np.nan))
    assert state.pairs == 0
    np.testing.assert_array_equal(state.moments.cross, 0)
