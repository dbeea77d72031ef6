"""The callback that asks the policy for every step's mixture and tells it what came of it."""

from __future__ import annotations

import dataclasses
import warnings
from typing import Any, NamedTuple, cast

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer

from mixer.batch import Batch
from policies import Array, Feedback, Policy, State, Task, UniMax, restore, to_plain
from policies.feedback import ratio
from policies.simplex import check_weights
from trainer.data import CorpusDataModule
from trainer.exchange import (
    PendingFeedback,
    StepRecord,
    feedback_document,
    feedback_from_document,
)
from trainer.module import StepOutput
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
        seed: Seed of the policy's randomness.
    """

    def __init__(
        self,
        policy: Policy,
        prior: Policy | None = None,
        target: dict[str, float] | None = None,
        seed: int = 0,
    ) -> None:
        self.policy = policy
        self.prior = UniMax() if prior is None else prior
        self._target = target
        self._seed = seed
        self.names: tuple[str, ...] = ()
        self.invalid_decisions = 0
        self._state: State = None
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
        self.names = data.names
        self._mixture, self._sequence_length = data.mixture, data.sequence_length
        task = self._task(data, trainer.max_steps)
        self.totals = DomainTotals(task.num_domains)
        self._state = self.policy.init(task)
        check_weights(self.policy.decide(self._state, 0).weights, self.names, self._described)
        if wanted := sorted(self.policy.signals):
            raise ValueError(
                f"policy {type(self.policy).__name__} needs the signal {wanted[0]}, which this "
                "trainer does not measure; choose a policy that learns from the training loss"
            )

    def _task(self, data: CorpusDataModule, total_steps: int) -> Task:
        names, unique = data.names, data.train_entries()
        target = np.full(len(names), 1.0 / len(names))
        if self._target is not None:
            if unknown := sorted(set(self._target) - set(names)):
                raise ValueError(f"target names unknown domains {unknown}; there are {names}")
            target = np.array([self._target.get(name, 0.0) for name in names])
            target = check_weights(target, names, "target")
        task = Task(
            names=names,
            unique_tokens=unique[:, 0],
            bytes_per_token=ratio(unique[:, 1], unique[:, 0]),
            prior=target,
            target=target,
            total_steps=total_steps,
            tokens_per_step=data.batch_size * data.sequence_length,
            seed=self._seed,
        )
        prior = self.prior.decide(self.prior.init(task), 0).weights
        checked = check_weights(prior, names, f"weight by prior {type(self.prior).__name__}")
        return dataclasses.replace(task, prior=checked)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._decide(trainer.global_step)

    def _decide(self, step: int) -> None:
        decision = self.policy.decide(self._state, step)
        try:
            weights = check_weights(decision.weights, self.names, self._described)
        except ValueError as error:
            # A run of days must not die of one bad answer: the last good mixture stays in force.
            self.invalid_decisions += 1
            if self.invalid_decisions == 1:
                warnings.warn(f"step {step}: {error}; keeping the last mixture", stacklevel=2)
            return
        self._mixture.set_weights(weights)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Batch, batch_idx: int
    ) -> None:
        # At the end of the batch the schedule has moved on already.
        self._learning_rate = float(trainer.optimizers[0].param_groups[0]["lr"])

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
            self._pending = PendingFeedback(record, parts, trainer.world_size)
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
        drawn = (self._mixture.drawn * self._sequence_length).astype(np.float64)
        return MixtureNow(self._mixture.weights, self._mixture.epochs, drawn)

    def state_dict(self) -> dict[str, Any]:
        """The policy's state and the feedback it has not heard yet, the same on every rank."""
        return {
            "policy": type(self.policy).__qualname__,
            "mixture": self._mixture.signature,
            "state": to_plain(self._state),
            "pending": None if self._pending is None else feedback_document(self._waiting()),
            "totals": self.totals.state_dict(),
            "invalid_decisions": self.invalid_decisions,
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
