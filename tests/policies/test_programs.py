from __future__ import annotations

import cvxpy as cp
import numpy as np
import pytest

import policies.programs
from policies.programs import SOLVERS, on_simplex, relative_entropy, solve
from policies.simplex import tilt


def test_relative_entropy_is_tilted_even_at_an_extreme_reference() -> None:
    """Minimising cost @ w + KL(w || q) gives w ~ q exp(-cost): a closed form to compare with."""
    reference = np.array([1e-12, 0.3, 0.7 - 1e-12])
    cost, weights, log = np.array([-20.0, 0.5, 0.0]), cp.Variable(3), cp.Parameter(3)
    problem = cp.Problem(
        cp.Minimize(cost @ weights + relative_entropy(weights, log)), [cp.sum(weights) == 1]
    )
    assert problem.is_dpp()
    log.value = np.log(reference)
    assert solve(problem)
    np.testing.assert_allclose(on_simplex(weights.value), tilt(reference, -cost), atol=1e-4)


def test_failure_is_told_and_not_raised() -> None:
    weights = cp.Variable(3)
    assert not solve(cp.Problem(cp.Minimize(cp.sum(weights)), [weights >= 1, weights <= 0]))
    assert not solve(cp.Problem(cp.Minimize(cp.sum(weights))))


def test_solver_that_fails_is_followed_by_the_next(monkeypatch: pytest.MonkeyPatch) -> None:
    weights = cp.Variable(3)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(weights)), [cp.sum(weights) == 1])
    asked = []
    original = cp.Problem.solve

    def fails_at_first(self: cp.Problem, solver: str, **settings: object) -> object:
        asked.append(solver)
        if len(asked) == 1:
            raise cp.SolverError("out of luck")
        return original(self, solver=solver, **settings)

    monkeypatch.setattr(cp.Problem, "solve", fails_at_first)
    assert solve(problem)
    assert asked == ["CLARABEL", "SCS"]
    np.testing.assert_allclose(weights.value, 1 / 3, atol=1e-5)


def test_only_installed_solvers_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(policies.programs, "installed_solvers", frozenset)
    assert not solve(cp.Problem(cp.Minimize(cp.abs(cp.Variable()))))


def test_answer_depends_on_the_program_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    # The solver that would start from its last answer if it was let to.
    monkeypatch.setattr(policies.programs, "SOLVERS", {"SCS": SOLVERS["SCS"]})
    level, weights = cp.Parameter(3), cp.Variable(3)
    problem = cp.Problem(
        cp.Minimize(cp.sum_squares(weights - level)), [weights >= 0, cp.sum(weights) == 1]
    )
    answers = []
    for value in (0.3, 5.0, 0.3):
        level.value = np.array([value, 0.2, 0.1])
        assert solve(problem)
        answers.append(weights.value)
    np.testing.assert_array_equal(answers[0], answers[2])


def test_on_simplex() -> None:
    weights = on_simplex(np.array([-1e-9, 0.25, 0.75 + 1e-8]))
    assert weights[0] == 0
    assert weights.sum() == pytest.approx(1, abs=1e-15)
    with pytest.raises(ValueError, match=r"a mixture must sum to about one, got 3\.0"):
        on_simplex(np.ones(3))
