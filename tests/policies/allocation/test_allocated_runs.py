"""Constraints kept over whole runs, and how they give way when they cannot be kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from policies.allocation import (
    Allocation,
    Allocator,
    Change,
    Constraint,
    Cost,
    Epochs,
    Floor,
    Ratio,
    Share,
)
from policies.policy import Task
from policies.signals import Array
from policies.synthetic import make_task

Propose = Callable[[int], Array]


def sized_task(sizes: Sequence[float], steps: int) -> Task:
    """Unique tokens as parts of the tokens of the run."""
    task = make_task(len(sizes), total_steps=steps)
    return replace(task, unique_tokens=np.array(sizes) * task.total_tokens)


def play(allocator: Allocator, task: Task, propose: Propose) -> tuple[list[Allocation], Array]:
    """A run that draws exactly what it is told, and the tokens drawn in it."""
    drawn, previous = np.zeros(task.num_domains), None
    path = []
    for step in range(task.total_steps):
        path.append(allocator.allocate(propose(step), drawn, step, previous))
        previous = path[-1].weights
        drawn = drawn + previous * task.tokens_per_step
    return path, drawn


def greedy(step: int) -> Array:
    """Nearly all for the first domain, which is small."""
    return np.array([0.9, 0.04, 0.03, 0.03])


def test_a_minimum_share_slows_the_domain_down() -> None:
    """Two epochs of 4 % of the run: 8 % in all, of which a minimum of 5 % leaves 3 % to spare."""
    task = sized_task([0.04, 1, 1, 1], 50)
    allocator = Allocator([Epochs(maximum=2, of="d0000"), Floor(minimum=0.05)], {}, task)
    path, drawn = play(allocator, task, greedy)
    share = np.array([one.weights[0] for one in path])
    assert drawn[0] <= 0.08 * task.total_tokens * (1 + 1e-6)
    assert share.min() >= 0.05 - 1e-6
    assert share[0] == pytest.approx(0.85)  # The others' floors: nothing slows it down yet.
    assert 0.05 < share[1] < 0.85
    np.testing.assert_allclose(share[2:], 0.05, atol=1e-6)
    assert not any(one.relaxed or one.failures for one in path)
    assert path[1].binding[0][0] == "Epochs(maximum=2, of=d0000)"


def test_a_domain_without_a_minimum_is_read_to_its_cap_and_left() -> None:
    task = sized_task([0.04, 1, 1, 1], 50)
    allocator = Allocator([Epochs(maximum=2, of="d0000", warn_at=1.5)], {}, task)
    assert allocator.warnings(np.zeros(4)) == {}
    path, drawn = play(allocator, task, greedy)
    share = np.array([one.weights[0] for one in path])
    np.testing.assert_allclose(share[:4], 0.9)
    assert share[6:].max() < 1e-9
    assert drawn[0] / task.total_tokens == pytest.approx(0.08, rel=1e-6)
    assert {one.how for one in path} == {"unchanged", "closed form"}
    assert allocator.warnings(drawn) == {"d0000": "'d0000' is at 2 epochs, of at most 2"}


def test_what_others_must_not_exceed_is_left_for_them() -> None:
    """All caps together are little more than the run: nobody may run out before the others."""
    task = sized_task([0.1, 0.3, 0.3, 0.31], 40)
    allocator = Allocator([Epochs(maximum=1), Share(of="d0003", maximum=0.31)], {}, task)
    allocator.check()
    path, drawn = play(allocator, task, greedy)
    assert (drawn <= task.unique_tokens + 1e-6 * task.total_tokens).all()
    assert max(one.weights[3] for one in path) <= 0.31 + 1e-6
    assert not any(one.relaxed or one.failures for one in path)


def test_everything_together_is_kept_to_the_end() -> None:
    task = sized_task([0.01, 0.2, 0.5, 1, 1], 60)
    groups = {"few": ["d0000", "d0003"], "many": ["few", "d0001"]}
    allocator = Allocator(
        [
            Epochs(maximum=3),
            Floor(minimum=0.01),
            Change(maximum=0.05),
            Share(of="few", maximum=0.4),
            Share(of="many", minimum=0.2),
            Ratio(of="d0003", to="d0004", maximum=2),
            Cost(per_token={"d0004": 1.0}, budget=0.3 * task.total_tokens),
        ],
        groups,
        task,
    )
    allocator.check()
    generator = np.random.default_rng(0)
    proposals = generator.dirichlet([3, 1, 1, 1, 3], task.total_steps)
    path, drawn = play(allocator, task, lambda step: proposals[step])
    weights = np.array([one.weights for one in path])
    assert (drawn <= 3 * task.unique_tokens * (1 + 1e-6)).all()
    assert drawn[4] <= 0.3 * task.total_tokens * (1 + 1e-6)
    assert weights.min() >= 0.01 - 1e-6
    assert 0.5 * np.abs(np.diff(weights, axis=0)).sum(axis=1).max() <= 0.05 + 1e-6
    assert (weights[:, 0] + weights[:, 3]).max() <= 0.4 + 1e-6
    assert (weights[:, [0, 1, 3]].sum(axis=1)).min() >= 0.2 - 1e-6
    assert (weights[:, 3] - 2 * weights[:, 4]).max() <= 1e-6
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)
    assert not any(one.relaxed or one.failures for one in path)
    assert drawn[0] > 2.9 * task.unique_tokens[0]  # The cap is reached, not shunned.


@pytest.mark.parametrize("measure", ["total_variation", "kl"])
def test_change_is_kept_with_caps_ahead(measure: str) -> None:
    """A domain that will run out is left in time: there is no cliff at its cap."""
    task = sized_task([0.05, 1, 1, 1], 60)
    change = Change(maximum=0.05, measure=measure)  # type: ignore[arg-type]
    allocator = Allocator([Epochs(maximum=2), Floor(minimum=0.01), change], {}, task)
    path, drawn = play(allocator, task, greedy)
    assert drawn[0] <= 2 * task.unique_tokens[0] * (1 + 1e-6)
    assert not any(one.relaxed or one.failures for one in path)
    for last, one in pairwise(path):
        moved = 0.5 * np.abs(one.weights - last.weights).sum()
        if measure == "kl":
            moved = float(one.weights @ np.log(one.weights / last.weights))
        assert moved <= 0.05 + 1e-6


def relax(constraints: Sequence[Constraint], drawn: Array, previous: Array | None) -> Allocation:
    task = sized_task([0.1, 0.6, 0.4, 0.4], 10)
    return Allocator(constraints, {}, task).allocate(
        np.array([0.4, 0.3, 0.2, 0.1]), drawn * task.total_tokens, 5, previous
    )


def test_change_gives_way_first() -> None:
    """The first domain is empty, yet had the whole of the last mixture."""
    constraints = [Epochs(maximum=1), Share(of="d0001", maximum=0.6), Change(maximum=0.1)]
    found = relax(constraints, np.array([0.1, 0.1, 0.1, 0.1]), np.array([1.0, 0, 0, 0]))
    assert found.relaxed == ("Change(maximum=0.1)",)
    assert found.weights[0] < 1e-6
    assert found.weights[1] <= 0.6 + 1e-6
    assert found.failures == 0


def test_minimum_shares_give_way_before_caps_and_no_more_than_they_must() -> None:
    constraints = [Floor(minimum=0.1), Epochs(maximum=1), Change(maximum=0.9)]
    found = relax(constraints, np.array([0.1, 0.1, 0.1, 0.1]), np.full(4, 0.25))
    assert found.relaxed == ("Floor(minimum=0.1)",)
    assert found.weights[0] < 1e-5
    assert found.weights[1:].min() >= 0.1 - 1e-5  # The others' minima stand.


def test_ratios_give_way_before_maxima_and_caps() -> None:
    constraints = [
        Ratio(of="d0001", to="d0000", maximum=1),
        Share(of=["d0002", "d0003"], maximum=0.5),
        Epochs(maximum=1),
    ]
    found = relax(constraints, np.array([0.1, 0.1, 0.1, 0.1]), None)
    assert found.relaxed == ("Ratio(of=d0001, to=d0000, maximum=1)",)
    assert found.weights[2:].sum() <= 0.5 + 1e-5


def test_maxima_give_way_before_caps() -> None:
    constraints = [Epochs(maximum=1), Share(of="d0001", maximum=0.2)]
    found = relax(constraints, np.array([0.1, 0.1, 0.4, 0.4]), None)
    assert found.relaxed == ("Share(of=d0001, maximum=0.2)",)
    np.testing.assert_allclose(found.weights, [0, 1, 0, 0], atol=1e-5)


def test_caps_give_way_last_and_evenly() -> None:
    found = relax([Epochs(maximum=1)], np.array([0.1, 0.6, 0.4, 0.4]), None)
    assert found.relaxed == ("Epochs(maximum=1)",)
    assert abs(found.weights.sum() - 1) < 1e-12
    task = sized_task([0.1, 0.4, 0.4, 0.4], 1)
    last = Allocator([Epochs(maximum=1)], {}, task).allocate(
        np.array([0.7, 0.1, 0.1, 0.1]), task.unique_tokens, 0
    )
    np.testing.assert_allclose(last.weights, 0.25, atol=1e-5)


def test_strict_stops() -> None:
    task = sized_task([0.1, 0.4], 10)
    allocator = Allocator([Epochs(maximum=1)], {}, task, strict=True)
    with pytest.raises(RuntimeError, match=r"at step 5 .* Epochs\(maximum=1\)"):
        allocator.allocate(np.array([0.5, 0.5]), task.unique_tokens, 5)


def test_one_sequence_too_many_is_no_reason_to_stop() -> None:
    """Draws are whole sequences: a domain at its cap may be a little beyond it."""
    task = sized_task([0.1, 1, 1], 20)
    allocator = Allocator([Epochs(maximum=1), Floor(minimum=0.0)], {}, task, strict=True)
    drawn = np.array([0.1 * task.total_tokens + 128, 0, 0])
    found = allocator.allocate(np.array([0.5, 0.3, 0.2]), drawn, 4)
    np.testing.assert_allclose(found.weights, [0, 0.6, 0.4], atol=1e-9)


@pytest.mark.parametrize("reserve", [0, 10])
def test_a_reserve_makes_up_for_whole_sequences(reserve: int) -> None:
    """Two steps in three draw one sequence too many of a domain that is held at its minimum."""
    task = sized_task([0.05, 1, 1], 30)
    allocator = Allocator(
        [Epochs(maximum=1, of="d0000"), Floor(minimum=0.04)], {}, task, reserve=reserve * 128
    )
    drawn, relaxed = np.zeros(3), 0
    for step in range(30):
        found = allocator.allocate(np.array([0.5, 0.3, 0.2]), drawn, step)
        relaxed += bool(found.relaxed)
        drawn = drawn + found.weights * task.tokens_per_step
        drawn[0] += 128 * (step > 20 and step % 3 > 0)
    assert (relaxed == 0) == (reserve > 0)
    assert drawn[0] <= 0.05 * task.total_tokens + 129


@pytest.mark.parametrize("reserve", [-1.0, np.inf, np.nan])
def test_reserve_is_a_number_of_tokens(reserve: float) -> None:
    with pytest.raises(ValueError, match=r"reserve must be in \[0, inf\), got"):
        Allocator([], {}, sized_task([1, 1], 5), reserve=reserve)
