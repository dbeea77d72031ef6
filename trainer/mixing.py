"""The callback that asks the policy for every step's mixture and tells it what came of it."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple, cast

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer

from mixer.batch import Batch
from policies import Array, Decision, Feedback, Policy, Signal, State, UniMax, restore, to_plain
from policies.simplex import check_weights
from trainer.constraining import ConstraintAccount, Demands
from trainer.data import CorpusDataModule
from trainer.exchange import (
    PendingFeedback,
    StepRecord,
    feedback_document,
    feedback_from_document,
)
from trainer.module import LanguageModel, StepOutput
from trainer.probes.panel import ProbePanel
from trainer.probes.settings import SignalSettings
from trainer.task import make_task
from trainer.tracking import DomainTotals


class MixtureNow(NamedTuple):
    """Weights of the next step, epochs read and tokens drawn of each domain, all (k,)."""

    weights: Array
    epochs: Array
    tokens: Array


class MixingCallback(Callback):
    """Runs a policy: weights for step t + 1 are set at the end of step t and rule its whole batch.

    Feedback reaches the policy one step late on every device, so that a GPU never waits for it and
    a run decides the same wherever it runs.

    Args:
        policy: The rule that decides.
        prior: The static policy whose mixture learning policies start from.
        target: How much each domain counts in the end, by name; all the same if not given.
        demands: What every mixture must keep; anything goes if not given.
        signals: How what the policy asks for is measured.
        seed: Seed of the policy's randomness.
    """

    def __init__(
        self,
        policy: Policy,
        prior: Policy | None = None,
        target: dict[str, float] | None = None,
        demands: Demands | None = None,
        signals: SignalSettings | None = None,
        seed: int = 0,
    ) -> None:
        self.policy = policy
        self.prior = UniMax() if prior is None else prior
        self.account: ConstraintAccount | None = None
        self._demands = Demands() if demands is None else demands
        self.panel = ProbePanel(signals or SignalSettings(), policy.signals)
        self._wanted: frozenset[Signal] = frozenset()
        self._target = target
        self._seed = seed
        self.names: tuple[str, ...] = ()
        self.invalid_decisions = 0
        self._state: State = None
        self._planned = False
        self._pending: PendingFeedback | Feedback | None = None
        self._parts: list[Any] = []
        self._learning_rate = 0.0

    @property
    def _described(self) -> str:
        return f"weight by policy {type(self.policy).__name__}"

    @property
    def policy_state(self) -> State:
        return self._state

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        if stage != "fit":
            return
        data = cast(CorpusDataModule, trainer.datamodule)  # type: ignore[attr-defined]
        self._mixture, self._sequence_length = data.mixture, data.sequence_length
        if not self._planned:
            self.plan(data, trainer.max_steps)
        self._planned = False  # The next run is another one.

    def plan(self, data: CorpusDataModule, total_steps: int) -> None:
        """Put policy and constraints before their first step; no token is read for it.

        What is planned before Lightning opens the corpus is not planned again by ``setup``.

        Args:
            data: The corpus and the batches.
            total_steps: Optimiser steps of the run.

        Raises:
            ValueError: Policy, prior, target or constraints do not fit the corpus or each other.
        """
        self.names = data.names
        task = make_task(data, total_steps, self.prior, self._target, self._seed)
        self.totals = DomainTotals(task.num_domains)
        self._state = self.policy.init(task)
        check_weights(self.policy.decide(self._state, 0).weights, self.names, self._described)
        stray = data.stray_sequences(total_steps)
        self.account = self._demands.account(task, stray, data.sequence_length)
        self._planned = True

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        data = cast(CorpusDataModule, trainer.datamodule)  # type: ignore[attr-defined]
        self.panel.setup(trainer, cast(LanguageModel, pl_module), data)
        self._decide(trainer.global_step)

    def _decide(self, step: int) -> None:
        decision = self._decision(step)
        weights, self._wanted = decision.weights, decision.signals
        if self.account is not None:
            previous = self._mixture.in_force if step else None
            weights = self.account.feasible(decision, self._tokens_drawn(), step, previous)
        self._mixture.set_weights(weights)

    def _decision(self, step: int) -> Decision:
        """What the policy asks for, its weights checked."""
        decision = self.policy.decide(self._state, step)
        try:
            checked = check_weights(decision.weights, self.names, self._described)
        except ValueError as error:
            # A run of days must not die of one bad answer: the last good mixture stays in force.
            self.invalid_decisions += 1
            if self.invalid_decisions == 1:
                warnings.warn(f"step {step}: {error}; keeping the last mixture", stacklevel=2)
            return Decision(self._mixture.weights, decision.signals)
        return decision._replace(weights=checked)

    def _tokens_drawn(self) -> Array:
        return (self._mixture.drawn * self._sequence_length).astype(np.float64)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        # At the end of the batch the schedule has moved on already.
        self._learning_rate = float(trainer.optimizers[0].param_groups[0]["lr"])
        self.panel.see(self._wanted, batch)

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,
        batch: Batch,
        batch_idx: int,
    ) -> None:
        output = cast(StepOutput, outputs)
        self._parts.append((output["losses"], output["bytes"]))
        if (batch_idx + 1) % trainer.accumulate_grad_batches:
            return
        parts, self._parts = self._parts, []
        record = StepRecord(
            step=self._mixture.step,
            weights=self._mixture.in_force,
            counts=self._mixture.counts,
            epochs=self._mixture.epochs,
            sequence_domain=self._mixture.composition().domain,
            sequence_length=self._sequence_length,
            learning_rate=self._learning_rate,
        )
        self._observe()
        # A checkpoint between micro-batches keeps neither the gradients nor the losses of its step;
        # resumed from one, the policy does not hear of that step.
        if len(parts) == trainer.accumulate_grad_batches:
            answers = self.panel.answers(self._wanted)
            self._pending = PendingFeedback(record, parts, trainer.world_size, answers)
        if record.step + 1 < trainer.max_steps:
            self._decide(record.step + 1)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._observe()

    def _observe(self) -> None:
        """Tell the policy and the totals about the step that is waiting, if one is."""
        if self._pending is None:
            return
        feedback = self._waiting()
        self._pending = None
        self.totals.add(feedback)
        self._state = self.policy.update(self._state, feedback)

    def _waiting(self) -> Feedback:
        pending = self._pending
        return (
            pending.feedback() if isinstance(pending, PendingFeedback) else cast(Feedback, pending)
        )

    def mixture_now(self) -> MixtureNow:
        """Where the mixture stands, the last step's batch included."""
        return MixtureNow(self._mixture.weights, self._mixture.epochs, self._tokens_drawn())

    def state_dict(self) -> dict[str, Any]:
        """The policy's state and the feedback it has not heard yet, the same on every rank."""
        return {
            "policy": type(self.policy).__qualname__,
            "mixture": self._mixture.signature,
            "state": to_plain(self._state),
            "pending": None if self._pending is None else feedback_document(self._waiting()),
            "totals": self.totals.state_dict(),
            "invalid_decisions": self.invalid_decisions,
            "signals": self.panel.state_dict(),
            "constraints": None if self.account is None else self.account.state_dict(),
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        if self._state is None:  # Evaluation needs no policy.
            return
        # Checked here, before Lightning touches the loader: errors raised later lose their text.
        self._mixture.check_signature(state_dict["mixture"])
        own = type(self.policy).__qualname__
        if state_dict["policy"] != own:
            raise ValueError(
                f"the checkpoint was made with policy {state_dict['policy']}, the configuration "
                f"names {own}; resume with the policy it was made with"
            )
        self._state = restore(self._state, state_dict["state"])
        pending = state_dict["pending"]
        self._pending = None if pending is None else feedback_from_document(pending)
        self.totals.load_state_dict(state_dict["totals"])
        self.invalid_decisions = state_dict["invalid_decisions"]
        self.panel.load_state_dict(state_dict["signals"])
        if self.account is not None and state_dict["constraints"] is not None:
            self.account.load_state_dict(state_dict["constraints"])
