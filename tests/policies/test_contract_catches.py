"""The contract notices policies that break it, each in one place."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
import pytest

from policies import Decision, Feedback, Policy, Signal, Task
from policies.contract import check_policy
from policies.signals import Array


class Total(NamedTuple):
    """A learner's state: the prior and the discounted loss of each domain."""

    prior: Array
    loss: Array


@dataclass(frozen=True, kw_only=True)
class Learner(Policy):
    """A correct small learner, for the broken ones below to break in one place each."""

    def init(self, task: Task) -> Any:
        return Total(task.prior / task.prior.sum(), np.zeros(task.num_domains))

    def decide(self, state: Any, step: int) -> Decision:
        weights = state.prior * (1 + np.tanh(state.loss))
        return Decision(weights / weights.sum())

    def update(self, state: Any, feedback: Feedback) -> Any:
        loss = np.nan_to_num(np.clip(feedback.bits_per_byte, 0, 9))
        return state._replace(loss=0.5 * state.loss + 0.5 * loss)


class ReturnsNaN(Learner):
    def decide(self, state: Any, step: int) -> Decision:
        return Decision(state.prior * np.nan)


class ReturnsNegative(Learner):
    def decide(self, state: Any, step: int) -> Decision:
        weights = super().decide(state, step).weights
        return Decision(np.append(-weights[:1], 2 * weights[1:]))


class ReturnsUnnormalised(Learner):
    def decide(self, state: Any, step: int) -> Decision:
        return Decision(super().decide(state, step).weights * (1 + 1e-8))


class ReturnsWrongLength(Learner):
    def decide(self, state: Any, step: int) -> Decision:
        return Decision(np.append(super().decide(state, step).weights, 0.0))


class ReturnsSinglePrecision(Learner):
    def decide(self, state: Any, step: int) -> Decision:
        return Decision(super().decide(state, step).weights.astype(np.float32))


class AsksUnannounced(Learner):
    def decide(self, state: Any, step: int) -> Decision:
        return super().decide(state, step)._replace(signals=frozenset(Signal))


class AsksAnnounced(AsksUnannounced):
    @property
    def signals(self) -> frozenset[Signal]:
        return frozenset(Signal)


class TrustsASignal(AsksAnnounced):
    def update(self, state: Any, feedback: Feedback) -> Any:
        state = super().update(state, feedback)
        measured = feedback.validation_loss
        return state if measured is None else state._replace(loss=measured.bits_per_byte)


class ChangesStateInPlace(Learner):
    def update(self, state: Any, feedback: Feedback) -> Any:
        state.loss[:] = super().update(state, feedback).loss
        return state


class ChangesFeedback(Learner):
    def update(self, state: Any, feedback: Feedback) -> Any:
        feedback.sequence_loss[~feedback.finite] = 0
        return super().update(state, feedback)


@dataclass(frozen=True, kw_only=True)
class RemembersOutsideItsState(Learner):
    calls: list[int] = field(default_factory=list)

    def update(self, state: Any, feedback: Feedback) -> Any:
        self.calls.append(feedback.step)
        new = super().update(state, feedback)
        return new._replace(loss=new.loss + len(self.calls))


class DrawsFromNowhere(Learner):
    draws = itertools.count()

    def init(self, task: Task) -> Any:
        return super().init(task)._replace(loss=np.full(task.num_domains, 0.1 * next(self.draws)))

    def decide(self, state: Any, step: int) -> Decision:
        weights = state.prior * np.exp(state.loss * np.arange(len(state.prior)))
        return Decision(weights / weights.sum())


class AlternatesItsAnswers(Learner):
    answers = itertools.count()

    def decide(self, state: Any, step: int) -> Decision:
        weights = state.prior ** (1 + 0.1 * (next(self.answers) % 3))
        return Decision(weights / weights.sum())


class ForgetsToDropNaN(Learner):
    def update(self, state: Any, feedback: Feedback) -> Any:
        total = np.bincount(
            feedback.sequence_domain, feedback.sequence_loss, minlength=feedback.num_domains
        )
        return state._replace(loss=np.clip(total, -9, 9))


class StartsElsewhere(Learner):
    def init(self, task: Task) -> Any:
        return super().init(task)._replace(loss=np.arange(task.num_domains) / 10)


class PrefersTheFirst(Learner):
    def update(self, state: Any, feedback: Feedback) -> Any:
        new = super().update(state, feedback)
        return new._replace(loss=new.loss + 0.1 / (1 + np.arange(feedback.num_domains)))


class GrowsItsState(Learner):
    def update(self, state: Any, feedback: Feedback) -> Any:
        return super().update(state, feedback)._replace(prior=np.append(state.prior, 0.0))

    def decide(self, state: Any, step: int) -> Decision:
        return super().decide(state._replace(prior=state.prior[: len(state.loss)]), step)


class KeepsAList(Learner):
    def update(self, state: Any, feedback: Feedback) -> Any:
        return super().update(state, feedback)._replace(prior=[*state.prior])

    def decide(self, state: Any, step: int) -> Decision:
        return super().decide(state._replace(prior=np.array(state.prior)), step)


class StoresSinglePrecision(Learner):
    def init(self, task: Task) -> Any:
        return Total(task.prior, np.zeros(task.num_domains, np.float32))


class ShowsNaN(Learner):
    def diagnostics(self, state: Any) -> Mapping[str, float | Array]:
        return {"loss": np.nan}


class ShowsAMatrix(Learner):
    def diagnostics(self, state: Any) -> Mapping[str, float | Array]:
        return {"loss": np.zeros((3, 2))}


BROKEN: list[tuple[type[Policy], str]] = [
    (ReturnsNaN, "weights are not finite"),
    (ReturnsNegative, "weights are negative"),
    (ReturnsUnnormalised, "not to one"),
    (ReturnsWrongLength, "weights have shape"),
    (ReturnsSinglePrecision, "not float64"),
    (AsksUnannounced, "leaves out"),
    (TrustsASignal, "weights are not finite"),
    (ChangesStateInPlace, "in place|differently when asked again"),
    (ChangesFeedback, "changes the feedback"),
    (RemembersOutsideItsState, "two runs with the same seed differ|differently"),
    (DrawsFromNowhere, "two runs with the same seed differ"),
    (AlternatesItsAnswers, "two runs with the same seed differ|differently"),
    (ForgetsToDropNaN, "weights are not finite"),
    (StartsElsewhere, "away from the prior"),
    (PrefersTheFirst, "the order of domains moves weights"),
    (GrowsItsState, "the state changes its form"),
    (StoresSinglePrecision, "the state changes"),
    (ShowsNaN, "diagnostic loss is not finite"),
    (ShowsAMatrix, "diagnostic loss has shape"),
]


@pytest.mark.parametrize(("broken", "message"), BROKEN)
def test_contract_catches(broken: type[Policy], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_policy(broken(), sizes=[13])


def test_contract_catches_a_state_that_cannot_be_stored() -> None:
    with pytest.raises(TypeError, match=r"field prior .* got list"):
        check_policy(KeepsAList(), sizes=[2])


def test_contract_passes_a_correct_learner_and_gives_it_signals() -> None:
    check_policy(Learner())
    check_policy(AsksAnnounced())


def test_order_may_matter_when_the_policy_says_so() -> None:
    check_policy(PrefersTheFirst(), sizes=[13], equivariant=False)
