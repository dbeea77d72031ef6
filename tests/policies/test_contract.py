"""Every policy keeps the contract."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies import (
    UCB,
    Fixed,
    Policy,
    Proportional,
    Task,
    Temperature,
    Uniform,
    UniMax,
    load_policies,
)
from policies.contract import MakePolicy, check_decision, check_policy
from policies.synthetic import make_feedback, make_task


def fixed(task: Task) -> Policy:
    return Fixed(weights=dict(zip(task.names, task.target.tolist(), strict=True)))


def scheduled(task: Task) -> Policy:
    uneven = dict(zip(sorted(task.names), make_task(task.num_domains).prior, strict=True))
    return Fixed(weights={0: {"d0000": 1.0}, 6: uneven}, interpolate="linear")


POLICIES: dict[str, Policy | MakePolicy] = {
    "Uniform": Uniform(),
    "Proportional": Proportional(),
    "Temperature": Temperature(),
    "UniMax": UniMax(),
    "Fixed": fixed,
    "Fixed schedule": scheduled,
    "UCB": UCB(),
    "UCB level": UCB(reward="level", gamma=1.0),
    "UCB magnitude": UCB(reward="magnitude", temperature=1e-6, exploration=0),
}


@pytest.mark.parametrize("name", POLICIES)
@pytest.mark.parametrize("size", [1, 2, 13, 50, 2000])
def test_policy_keeps_the_contract(name: str, size: int) -> None:
    check_policy(POLICIES[name], sizes=[size])


def test_no_policy_is_left_out() -> None:
    assert set(load_policies()) <= set(POLICIES)


@given(
    name=st.sampled_from(sorted(POLICIES)),
    size=st.sampled_from([1, 2, 13, 50]),
    losses=st.lists(st.lists(st.floats(width=64), min_size=4, max_size=4), max_size=5),
)
def test_no_loss_whatever_breaks_the_weights(
    name: str, size: int, losses: list[list[float]]
) -> None:
    task = make_task(size)
    made = POLICIES[name]
    policy = made if isinstance(made, Policy) else made(task)
    state = policy.init(task)
    for step, values in enumerate(losses):
        feedback = make_feedback(task, policy.decide(state, step).weights, step)
        loss = np.resize(values, len(feedback.sequence_loss))
        state = policy.update(state, replace(feedback, sequence_loss=loss))
        check_decision(policy.decide(state, step + 1), policy, task)
        for value in policy.diagnostics(state).values():
            assert np.isfinite(value).all()
