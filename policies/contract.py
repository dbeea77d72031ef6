"""What every policy must keep to, as one check that any package can run on its own policies."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.feedback import Feedback
from policies.policy import Decision, Policy, State, Task
from policies.signals import Signal
from policies.state import restore, to_plain
from policies.synthetic import make_feedback, make_signals, make_task

MakePolicy: TypeAlias = Callable[[Task], Policy]
MakeSignals: TypeAlias = Callable[[Task, int], Mapping[Signal, Any]]

STEPS = 8
SPOILT = (np.nan, np.inf, -np.inf, 0.0, -1.0, 1e30, 1e308)


class Path(NamedTuple):
    """A short run: the decisions, the feedback that followed each, and the state at the end."""

    decisions: list[Decision]
    feedback: list[Feedback]
    state: State


def check_policy(
    policy: Policy | MakePolicy,
    *,
    sizes: Sequence[int] = (1, 2, 13, 50),
    equivariant: bool = True,
    starts_at_prior: bool = True,
    make_signals: MakeSignals = make_signals,
) -> None:
    """Check a policy on small made-up runs of several numbers of domains.

    Args:
        policy: The policy, or a function that makes it for a task when its settings name domains
            (here ``d0000``, ``d0001``, ...).
        sizes: Numbers of domains to try.
        equivariant: Whether the order of the domains must not matter. A policy that draws random
            numbers domain by domain may say False.
        starts_at_prior: Whether a policy that learns must begin at the task's prior. A published
            rule that has knowledge of its own before the first step may say False.
        make_signals: The signals of a task and step, for a policy that asks for some. They must
            follow the task's order of domains.

    Raises:
        AssertionError: The policy breaks a rule; the message says which.
    """
    for size in sizes:
        task = make_task(size)
        made = policy if isinstance(policy, Policy) else policy(task)
        run = Runner(made, make_signals)
        for spoilt, delay in ((False, 0), (True, 0), (False, 1), (True, 1)):
            run.path(task, spoilt=spoilt, delay=delay)
        _check_repeatable(run, task)
        _check_pure(run, task)
        _check_restart(run, task)
        _check_diagnostics(run, task)
        if starts_at_prior and type(made).update is not Policy.update:
            _check_prior(run, task)
        if equivariant:
            order = np.random.default_rng(size).permutation(size)
            turned = permuted_task(task, order)
            other = policy if isinstance(policy, Policy) else policy(turned)
            _check_equivariant(run, Runner(other, make_signals), task, order)


def check_decision(decision: Decision, policy: Policy, task: Task) -> None:
    """Check that a decision is a mixture and asks for no signal the policy has not announced."""
    weights = decision.weights
    _require(isinstance(weights, np.ndarray), f"weights must be an array, got {type(weights)}")
    _require(weights.shape == (task.num_domains,), f"weights have shape {weights.shape}")
    _require(weights.dtype == np.float64, f"weights have type {weights.dtype}, not float64")
    _require(bool(np.isfinite(weights).all()), f"weights are not finite: {weights}")
    _require(bool((weights >= 0).all()), f"weights are negative: {weights.min()}")
    _require(abs(weights.sum() - 1) <= 1e-9, f"weights sum to {weights.sum()!r}, not to one")
    unannounced = decision.signals - policy.signals
    _require(not unannounced, f"a decision asks for {unannounced}, which `signals` leaves out")


class Runner:
    """Plays a policy against made-up feedback, checking every decision."""

    def __init__(self, policy: Policy, make_signals: MakeSignals = make_signals) -> None:
        self.policy = policy
        self.make_signals = make_signals

    def feedback(self, task: Task, decision: Decision, step: int, *, spoilt: bool) -> Feedback:
        """What follows a decision; spoilt, half of the losses are NaN, infinite or absurd."""
        feedback = make_feedback(task, decision.weights, step)
        if spoilt:
            generator = np.random.default_rng([step, task.num_domains])
            loss = feedback.sequence_loss.copy()
            where = generator.random(len(loss)) < 0.5
            loss[where] = generator.choice(SPOILT, int(where.sum()))
            feedback = replace(feedback, sequence_loss=loss)
        if not decision.signals:
            return feedback
        signals = self.make_signals(task, step)
        asked = {kind: signals[kind] for kind in sorted(decision.signals)}
        if spoilt:
            asked = {kind: _spoil(measured, step) for kind, measured in asked.items()}
        return replace(feedback, signals=asked)

    def path(self, task: Task, *, spoilt: bool = False, delay: int = 0) -> Path:
        """A run in which feedback arrives ``delay`` steps late."""
        state = self.policy.init(task)
        decisions: list[Decision] = []
        heard: list[Feedback] = []
        for step in range(STEPS):
            decisions.append(self.decide(state, task, step))
            heard.append(self.feedback(task, decisions[-1], step, spoilt=spoilt))
            if step >= delay:
                state = self.policy.update(state, heard[step - delay])
        return Path(decisions, heard, state)

    def decide(self, state: State, task: Task, step: int) -> Decision:
        decision = self.policy.decide(state, step)
        check_decision(decision, self.policy, task)
        return decision

    def follow(self, state: State, task: Task, feedback: Sequence[Feedback]) -> Iterator[Decision]:
        """The decisions after each of these, whatever the policy would have decided itself."""
        for one in feedback:
            state = self.policy.update(state, one)
            yield self.decide(state, task, one.step + 1)


def permuted_task(task: Task, order: NDArray[np.int64]) -> Task:
    """The same task with its domains in another order, shape (k,)."""
    return replace(
        task,
        names=tuple(task.names[domain] for domain in order),
        **{
            name: getattr(task, name)[order]
            for name in ("unique_tokens", "bytes_per_token", "prior", "target")
        },
    )


def _check_repeatable(run: Runner, task: Task) -> None:
    first, second = run.path(task), run.path(task)
    _require_equal(first.decisions, second.decisions, "two runs with the same seed differ")


def _check_pure(run: Runner, task: Task) -> None:
    state = run.path(task, spoilt=True).state
    feedback = run.feedback(task, run.decide(state, task, STEPS), STEPS, spoilt=True)
    given = copy.deepcopy((state, _values(feedback)))
    first, second = (run.policy.decide(state, STEPS) for _ in range(2))
    _require_equal(first, second, "`decide` answers differently when asked again")
    first, second = (run.policy.update(state, feedback) for _ in range(2))
    _require_equal(first, second, "`update` answers differently when asked again")
    run.policy.diagnostics(state)
    _require_equal(given[0], state, "the policy changes a state in place")
    _require_equal(given[1], _values(feedback), "the policy changes the feedback")


def _check_restart(run: Runner, task: Task) -> None:
    """Stored and restored in the middle, a run goes on bit for bit; and states do not grow."""
    path = run.path(task, spoilt=True)
    document = to_plain(path.state)
    later = [replace(one, step=one.step + STEPS) for one in path.feedback]
    expected = list(run.follow(path.state, task, later))
    for form in (document, json.loads(json.dumps(document))):
        try:
            state = restore(run.policy.init(task), form)
        except ValueError as error:
            raise AssertionError(f"the state changes its form during a run: {error}") from error
        _require_equal(path.state, state, "the state changes when stored and restored")
        found = list(run.follow(state, task, later))
        _require_equal(expected, found, "decisions differ after a restart")


def _check_diagnostics(run: Runner, task: Task) -> None:
    for state in (run.policy.init(task), run.path(task, spoilt=True).state):
        for name, value in run.policy.diagnostics(state).items():
            shape = np.shape(value)
            known = ((), (task.num_domains,), (task.num_domains, task.num_domains))
            _require(shape in known, f"diagnostic {name} has shape {shape}")
            _require(bool(np.isfinite(value).all()), f"diagnostic {name} is not finite: {value}")


def _check_prior(run: Runner, task: Task) -> None:
    weights = run.decide(run.policy.init(task), task, 0).weights
    error = float(np.abs(weights - task.prior).max())
    _require(error <= 1e-9, f"without evidence the policy is {error:.3g} away from the prior")


def _check_equivariant(run: Runner, other: Runner, task: Task, order: NDArray[np.int64]) -> None:
    path, turned = run.path(task), permuted_task(task, order)
    place = np.argsort(order)
    heard = [_permuted_feedback(one, order, place) for one in path.feedback]
    for number, one in enumerate(heard):
        signals = other.make_signals(turned, one.step) if one.signals else {}
        heard[number] = replace(one, signals={kind: signals[kind] for kind in one.signals})
    state = other.policy.init(turned)
    found = [other.decide(state, turned, 0), *other.follow(state, turned, heard[:-1])]
    for step, (here, there) in enumerate(zip(path.decisions, found, strict=True)):
        error = float(np.abs(here.weights[order] - there.weights).max())
        _require(error <= 1e-12, f"the order of domains moves weights by {error:.3g}, step {step}")


def _spoil(measured: Any, step: int) -> Any:
    """A signal with half of its numbers NaN, infinite or absurd."""
    generator = np.random.default_rng([step, 2])
    fields = []
    for values in measured:
        where = generator.random(values.shape) < 0.5
        fields.append(np.where(where, generator.choice(SPOILT, values.shape), values))
    return type(measured)(*fields)


def _permuted_feedback(
    feedback: Feedback, order: NDArray[np.int64], place: NDArray[np.int64]
) -> Feedback:
    """The same sequences, domain j now called ``place[j]``."""
    return replace(
        feedback,
        weights=feedback.weights[order],
        counts=feedback.counts[order],
        epochs=feedback.epochs[order],
        sequence_domain=place[feedback.sequence_domain],
    )


def _values(feedback: Feedback) -> dict[str, Any]:
    return {one.name: getattr(feedback, one.name) for one in fields(feedback)}


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _require_equal(expected: object, found: object, message: str) -> None:
    _require(_identical(expected, found), message)


def _identical(one: Any, two: Any) -> bool:
    """Equality without tolerance of nested tuples, lists, mappings, arrays and numbers."""
    if isinstance(one, np.ndarray) and isinstance(two, np.ndarray):
        nan_too = one.dtype.kind == "f"
        return one.dtype == two.dtype and np.array_equal(one, two, equal_nan=nan_too)
    if isinstance(one, Mapping) and isinstance(two, Mapping):
        return one.keys() == two.keys() and all(_identical(one[key], two[key]) for key in one)
    if isinstance(one, tuple | list) and isinstance(two, tuple | list):
        return len(one) == len(two) and all(map(_identical, one, two))
    return bool(one == two or (one != one and two != two))
