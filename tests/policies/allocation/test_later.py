"""Whether the rest of a run can keep its constraints, beside one linear program over all of it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from random_sets import random_set
from scipy.optimize import linprog

from policies.allocation import Cost, Epochs, Floor
from policies.allocation.compilation import compile_constraints
from policies.allocation.feasible_set import FeasibleSet, Limits
from policies.allocation.filling import nearest_within
from policies.allocation.later import Later
from policies.allocation.scope import Scope
from policies.signals import Array
from policies.synthetic import make_task


def scarce(seed: int, size: int) -> tuple[FeasibleSet, Limits, Array]:
    """Caps, or caps and a budget, that hold little more than a short run; its limits; a mixture."""
    made, generator = random_set(seed, size), np.random.default_rng(seed)
    steps = int(generator.integers(2, 6))
    task = replace(made.task, total_steps=steps)
    caps = made.inside * task.total_tokens * generator.uniform(1, 1.5, size)
    task = replace(task, unique_tokens=caps)
    constraints = [one for one in made.constraints if not isinstance(one, Epochs)]
    constraints.append(Epochs(maximum=1))
    if seed % 2:
        price = {task.names[0]: 1.0, task.names[-1]: 0.5}
        mean = float(made.inside[0] + 0.5 * made.inside[-1])
        constraints.append(Cost(per_token=price, budget=1.02 * mean * task.total_tokens))
    feasible = compile_constraints(constraints, Scope(task, made.groups), task)
    return feasible, feasible.limits(np.zeros(size), 0), made.inside


def lines_of_later(feasible: FeasibleSet, limits: Limits) -> tuple[Array, Array]:
    """All inequalities over p and m beside their lower bounds."""
    size, rest = len(limits.lower), 1 - limits.weight
    none, one = np.zeros_like(feasible.matrix), np.eye(size)
    lines = [
        np.block([[feasible.matrix, none], [none, feasible.matrix]]),
        np.block([limits.weight * one, rest * one]),
        np.block([limits.weight * feasible.totals, rest * feasible.totals]),
    ]
    bound = np.concatenate([limits.bound, limits.bound, limits.room, limits.budget])
    return np.concatenate(lines), bound


@given(seed=st.integers(0, 10_000), size=st.integers(2, 12))
@settings(max_examples=40, deadline=None)
def test_a_mixture_has_a_later_one_or_a_cut(seed: int, size: int) -> None:
    feasible, limits, inside = scarce(seed, size)
    generator, later = np.random.default_rng(seed), Later(feasible)
    assert later.exists(inside, limits, 1e-9)
    assert later.cut(inside, limits) is None
    # Towards the mixture furthest off in some direction: too much of what is scarce.
    lines, bound = lines_of_later(feasible, limits)
    pull, both = generator.normal(size=size), np.kron(np.eye(2), np.ones(size))
    box = [*zip(limits.lower, limits.ceiling, strict=True)]
    alone = linprog(pull, feasible.matrix, limits.bound, np.ones((1, size)), 1, box)
    assume(alone.status == 0)
    for part in (0.3, 1.0):
        weights = (1 - part) * inside + part * alone.x
        fixed = [*zip(weights, weights, strict=True)]
        ends = [*zip(limits.lower, limits.upper, strict=True)]
        expected = linprog(np.zeros(2 * size), lines, bound, both, np.ones(2), fixed + ends)
        cut = later.cut(weights, limits)
        assert later.exists(weights, limits, 1e-9) == (cut is None) == (expected.status == 0)
        if cut is None:
            continue
        assert cut.row @ weights > cut.bound + 1e-12
        # No mixture with a later one is cut off.
        most = linprog(
            np.append(-cut.row, np.zeros(size)), lines, bound, both, np.ones(2), ends * 2
        )
        assert -most.fun <= cut.bound + 1e-8


@given(seed=st.integers(0, 10_000), size=st.integers(2, 12))
@settings(max_examples=60, deadline=None)
def test_ample_room_leaves_a_later_mixture_whatever_comes_first(seed: int, size: int) -> None:
    """Beside the mixtures that use up most of one domain, or of the first few."""
    generator = np.random.default_rng(seed)
    task = make_task(size, total_steps=int(generator.integers(2, 6)))
    part = generator.dirichlet(np.full(size, 2.0)) * generator.uniform(1, 1.3)
    task = replace(task, unique_tokens=part * task.total_tokens)
    constraints = [Epochs(maximum=1), Floor(minimum=0.2 * float(part.min()))]
    feasible = compile_constraints(constraints, Scope(task, {}), task)
    limits, later = feasible.limits(np.zeros(size), 0), Later(feasible)
    for _ in range(5):
        level = generator.dirichlet(np.full(size, 0.3)) + 1e-9
        weights = nearest_within(level, limits.lower, limits.ceiling, 1.0, "kl")
        exists = later.exists(weights, limits, 1e-12)
        assert exists or not limits.ample
    roomy = replace(limits, room=limits.room + 1)
    scarce = replace(limits, room=limits.room / 1.4)
    assert (roomy.ample, scarce.ample) == (True, False)


def test_the_same_later_mixture_serves_again(monkeypatch: pytest.MonkeyPatch) -> None:
    feasible, limits, inside = scarce(3, 12)
    assert len(feasible.matrix) > 0
    later = Later(feasible)
    assert later.exists(inside, limits, 1e-9)
    monkeypatch.setattr(Later, "_roomiest", lambda *_: None)
    assert later.exists(inside, limits, 1e-9)
    assert not Later(feasible).exists(inside, limits, 1e-9)
