"""Every policy keeps the contract.

Those with a test file of their own are held to it there in several settings; here all are held to
what no loss and no number of domains may break.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

import numpy as np
import pytest
from every_policy import every_policy
from hypothesis import given, settings
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
from policies.contract import MakePolicy, Runner, check_decision, check_policy
from policies.synthetic import make_feedback, make_signals, make_task


def fixed(task: Task) -> Policy:
    return Fixed(weights=dict(zip(task.names, task.target.tolist(), strict=True)))


def scheduled(task: Task) -> Policy:
    uneven = dict(zip(sorted(task.names), make_task(task.num_domains).prior, strict=True))
    return Fixed(weights={0: {"d0000": 1.0}, 6: uneven}, interpolate="linear")


SIMPLE: dict[str, Policy | MakePolicy] = {
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
NAMES = sorted(load_policies())
# Fitted to finished runs, of which they need more than domains: thousands cannot be had.
FEW_DOMAINS = {"Olmix", "RegMix"}


@cache
def specimens(size: int) -> dict[str, Policy]:
    return every_policy(make_task(size), Path(mkdtemp(prefix="glotmix-policies-")))


@pytest.mark.parametrize("name", SIMPLE)
@pytest.mark.parametrize("size", [1, 2, 13, 50, 2000])
def test_policy_keeps_the_contract(name: str, size: int) -> None:
    check_policy(SIMPLE[name], sizes=[size])


def test_no_policy_is_left_out() -> None:
    assert sorted(specimens(2)) == NAMES


@settings(max_examples=12)
@given(
    size=st.sampled_from([1, 2, 13, 50]),
    losses=st.lists(st.lists(st.floats(width=64), min_size=4, max_size=4), min_size=3, max_size=6),
)
@pytest.mark.parametrize("name", NAMES)
def test_no_loss_and_no_signal_whatever_breaks_the_weights(
    name: str, size: int, losses: list[list[float]]
) -> None:
    if name in FEW_DOMAINS:
        size = min(size, 13)
    task, policy = make_task(size), specimens(size)[name]
    state = policy.init(task)
    for step, values in enumerate(losses):
        decision = policy.decide(state, step)
        feedback = make_feedback(task, decision.weights, step)
        measured = {
            kind: type(signal)(*(np.resize(values, field.shape) for field in signal))
            for kind, signal in make_signals(task, step).items()
            if kind in decision.signals
        }
        loss = np.resize(values, len(feedback.sequence_loss))
        state = policy.update(state, replace(feedback, sequence_loss=loss, signals=measured))
        check_decision(policy.decide(state, step + 1), policy, task)
        for value in policy.diagnostics(state).values():
            assert np.isfinite(value).all()


@pytest.mark.parametrize("name", sorted(set(NAMES) - FEW_DOMAINS))
@pytest.mark.parametrize("spoilt", [False, True])
def test_two_thousand_domains(name: str, spoilt: bool) -> None:
    specimen = specimens(2000)[name]
    # At its own cadence: fast specimens of rules with a program would solve one at every step.
    policy = specimen if name in ("Aioli", "Fixed", "Learned") else type(specimen)()
    Runner(policy).path(make_task(2000, total_steps=10_000), spoilt=spoilt, delay=1)
