"""Newton's method on the multipliers: the program's answer, or the truth that there is none."""

from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from reference import check_same, precisely

from policies import programs
from policies.allocation.filling import Objective
from policies.allocation.multipliers import Coupled, solve
from policies.signals import Array


def random_problem(seed: int, size: int, objective: Objective) -> Coupled:
    """Rows of any kind, some of them twice or turned round, and limits on the change."""
    generator = np.random.default_rng([seed, size])
    inside = generator.dirichlet(np.full(size, 2.0))
    rows = []
    for _ in range(int(generator.integers(0, 6))):
        row = (generator.random(size) < 0.4) * generator.choice([-1.0, 1.0])
        rows.append(row * generator.normal(size=size) if generator.random() < 0.3 else row)
    if rows and generator.random() < 0.4:
        rows.append(rows[0] * generator.choice([-1.0, 1.0]))
    matrix = np.array(rows).reshape(-1, size)
    value = matrix @ inside
    previous = 0.7 * inside + 0.3 * generator.dirichlet(np.full(size, 2.0))
    moved = float(np.abs(previous - inside).sum()) / 2
    diverged = float(inside @ np.log(inside / previous))
    return Coupled(
        objective=objective,
        level=generator.dirichlet(np.full(size, generator.uniform(0.3, 3))) + 1e-12,
        lower=inside * generator.uniform(0, 1) * (generator.random(size) < 0.7),
        upper=np.where(generator.random(size) < 0.5, inside * 2, 1.0),
        matrix=matrix,
        bound=value + np.abs(value) * generator.uniform(0.01, 0.3, len(rows)),
        previous=previous,
        change=1.2 * moved if generator.random() < 0.5 else np.inf,
        divergence=1.2 * diverged if objective == "kl" and generator.random() < 0.4 else np.inf,
    )


def solve_as_program(problem: Coupled) -> Array | None:
    weights = cp.Variable(len(problem.level))
    distance = (
        cp.sum_squares(weights - problem.level)
        if problem.objective == "euclidean"
        else programs.relative_entropy(weights, np.log(problem.level))
    )
    within = [cp.sum(weights) == 1, weights >= problem.lower, weights <= problem.upper]
    if len(problem.bound):
        within.append(problem.matrix @ weights <= problem.bound)
    if np.isfinite(problem.change):
        within.append(cp.norm1(weights - problem.previous) / 2 <= problem.change)
    if np.isfinite(problem.divergence):
        moved = programs.relative_entropy(weights, np.log(problem.previous))
        within.append(moved <= problem.divergence)
    with precisely():
        solved = programs.solve(cp.Problem(cp.Minimize(distance), within))
    return np.asarray(weights.value) if solved else None


@pytest.mark.parametrize("objective", ["kl", "euclidean"])
@given(seed=st.integers(0, 10_000), size=st.integers(2, 60))
@example(seed=1, size=300)
@settings(max_examples=25, deadline=None)
def test_agrees_with_the_program(objective: Objective, seed: int, size: int) -> None:
    problem = random_problem(seed, size, objective)
    found = solve(problem)
    assert found is not None
    weights = found.weights
    assert abs(weights.sum() - 1) < 1e-11
    assert (problem.matrix @ weights <= problem.bound + 1e-11).all()
    assert np.abs(weights - problem.previous).sum() / 2 <= problem.change + 1e-11
    # The conditions of optimality, in the multipliers as they came out.
    assert min(found.bound.min(initial=0.0), found.change, found.divergence) >= 0
    slack = problem.bound - problem.matrix @ weights
    assert np.abs(found.bound * slack).max(initial=0.0) < 1e-9
    inner = (weights > problem.lower) & (weights < problem.upper)
    np.testing.assert_allclose(found.slope[inner], 0, atol=1e-9)
    assert (found.slope[(weights == problem.lower) & ~inner] >= -1e-9).all()
    solved = solve_as_program(problem)
    assume(solved is not None)
    assert solved is not None
    check_same(weights, solved, problem.level, objective)


@pytest.mark.parametrize("objective", ["kl", "euclidean"])
@pytest.mark.parametrize("by", [1e-3, 0.3])
def test_what_is_impossible_is_given_up(objective: Objective, by: float) -> None:
    """Two groups that overlap in one domain must have more than there is."""
    problem = random_problem(0, 3, objective)._replace(
        level=np.array([0.2, 0.5, 0.3]),
        lower=np.zeros(3),
        upper=np.array([1, 0.2, 1]),
        matrix=-np.array([[1.0, 1, 0], [0, 1.0, 1]]),
        bound=-np.array([0.6 + by, 0.6]),
        change=np.inf,
        divergence=np.inf,
    )
    assert solve(problem) is None
    possible = solve(problem._replace(bound=-np.array([0.6, 0.6])))
    assert possible is not None
    np.testing.assert_allclose(possible.weights, [0.4, 0.2, 0.4], atol=1e-9)


@pytest.mark.parametrize("objective", ["kl", "euclidean"])
def test_a_share_that_is_fixed_by_two_rows(objective: Objective) -> None:
    problem = random_problem(0, 4, objective)._replace(
        level=np.array([1e-6, 1e-6, 0.5, 0.5]) / (1 + 2e-6),
        lower=np.zeros(4),
        upper=np.ones(4),
        matrix=np.array([[1.0, 1, 0, 0], [-1, -1, 0, 0], [0, 1, 1, 0]]),
        bound=np.array([0.4, -0.4, 0.35]),
        change=np.inf,
        divergence=np.inf,
    )
    found = solve(problem)
    assert found is not None
    assert found.weights[:2].sum() == pytest.approx(0.4, abs=1e-12)
    assert found.weights[1:3].sum() == pytest.approx(0.35, abs=1e-12)
