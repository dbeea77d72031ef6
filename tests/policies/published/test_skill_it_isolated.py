from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from golden import uniform_task

from policies import Policy, Signal, Task
from policies.contract import check_policy
from policies.published.skill_it import SkillIt
from policies.published.skill_it_isolated import isolated_domains, tilt_the_others
from policies.signals import Array, ValidationLoss
from policies.simplex import tilt
from policies.synthetic import make_feedback, make_task

HELPS = {"d0000": {"d0002": 0.4}}


def policy(**settings: object) -> SkillIt:
    given = {"graph": HELPS, "isolated": "even", "update_every": 1, "evaluate_every": 1}
    return SkillIt(**(given | settings))  # type: ignore[arg-type]


def path(rule: SkillIt, task: Task, loss: Array, steps: int) -> Array:
    """The mixture of each step if the held-out losses are these every time, (steps, k)."""
    state, weights = rule.init(task), []
    for step in range(steps):
        weights.append(rule.decide(state, step).weights)
        feedback = make_feedback(task, weights[-1], step)
        measured = ValidationLoss(loss, loss, 0 * loss)
        state = rule.update(state, replace(feedback, signals={Signal.VALIDATION_LOSS: measured}))
    return np.array(weights)


def test_isolated_domains_neither_help_nor_are_helped() -> None:
    graph, prior = np.eye(5), np.full(5, 0.2)
    graph[1, 0] = 0.3
    np.testing.assert_array_equal(isolated_domains(graph, prior), [False, False, True, True, True])
    graph[3, 3] = 0.5
    np.testing.assert_array_equal(isolated_domains(graph, prior)[2:], [True, False, True])
    none = np.array([0.5, 0.5, 0.0, 0.0, 0.0])
    assert not isolated_domains(graph, none).any()


def test_the_others_share_what_isolated_domains_leave() -> None:
    alone, weights = np.array([False, True, False]), np.array([0.1, 0.5, 0.4])
    found = tilt_the_others(weights, np.array([1.0, 900.0, 0.0]), alone)
    share = tilt(np.array([0.2, 0.8]), np.array([1.0, 0.0]))
    np.testing.assert_allclose(found, [share[0] * 2 / 3, 1 / 3, share[1] * 2 / 3])
    none = np.zeros(3, dtype=bool)
    expected = tilt(weights, alone.astype(float))
    np.testing.assert_array_equal(tilt_the_others(weights, alone.astype(float), none), expected)


def test_isolated_domains_stay_even_and_the_others_carry_over() -> None:
    task, loss = make_task(4), np.array([2.0, 9.0, 3.0, 9.0])
    weights = path(policy(window=1, start="prior"), task, loss, 4)
    np.testing.assert_allclose(weights[:, [1, 3]], 0.25)
    odds = np.log(weights[:, 0] / weights[:, 2])
    gain = 0.2 * (2 + 0.4 * 3 - 3)
    np.testing.assert_allclose(odds, np.log(task.prior[0] / task.prior[2]) + gain * np.arange(4))


def test_a_domain_without_a_prior_stays_at_zero() -> None:
    task = replace(uniform_task(4), prior=np.array([0.5, 0.0, 0.25, 0.25]))
    weights = path(policy(), task, np.array([2.0, 9.0, 3.0, 9.0]), 3)
    np.testing.assert_array_equal(weights[:, 1], np.zeros(3))
    np.testing.assert_allclose(weights[:, 3], 0.25)


def of_every_third(task: Task) -> Policy:
    """A policy whose graph joins two thirds of the domains, by name and not by place."""
    joined = [name for name in task.names if int(name[1:]) % 3]
    graph = {one: {other: 0.3 for other in joined if other > one} for one in joined}
    return policy(graph=graph)


@pytest.mark.parametrize("size", [3, 13])
def test_contract(size: int) -> None:
    check_policy(of_every_third, sizes=[size], starts_at_prior=False)


def test_a_graph_without_edges_is_refused() -> None:
    with pytest.raises(ValueError, match=r"graph must have an edge .*; set isolated to 'weighted'"):
        policy(graph=None).init(uniform_task(3))
    with pytest.raises(ValueError, match="graph must have an edge"):
        policy().init(replace(uniform_task(3), prior=np.array([0.0, 1.0, 0.0])))
    with pytest.raises(ValueError, match="start must be 'graph' or 'prior' with isolated 'even'"):
        policy(start="prior_once")
    with pytest.raises(ValueError, match="isolated must be one of weighted, even, got 'zero'"):
        policy(isolated="zero")
