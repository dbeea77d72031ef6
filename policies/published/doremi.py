"""Domain reweighting with minimax optimisation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from policies.feedback import LN2, Feedback, ratio
from policies.mirror import mirror_step
from policies.policy import Decision, Policy, Task
from policies.signals import MAX_LOSS, Array, LossUnit, ReferenceLoss, Signal, check_unit
from policies.simplex import check_weights


class DoReMiState(NamedTuple):
    """The mixture and what moves it; shapes (k,) where nothing else is said.

    Attributes:
        weights: The mixture in force, alpha.
        average: Mean of the mixtures after each update: what DoReMi gives to a later run.
        updates: Number of updates so far, a number.
        excess: Latest excess loss of each domain, in the policy's unit.
        known: Whether that excess was measured or set rather than still missing.
    """

    weights: Array
    average: Array
    updates: int
    excess: Array
    known: NDArray[np.bool_]


@final
@dataclass(frozen=True, kw_only=True)
class DoReMi(Policy):
    """More of the domains in which the model is still worse than a reference model.

    With lambda_j the mean over domain j's tokens of ``max(loss - reference loss, 0)``,

        a_j ~ a_j exp(eta lambda_j),    then    a_j <- (1 - smoothing) a_j + smoothing / k,

    in every step: group distributionally robust optimisation, Algorithm 1 of Xie et al. 2023,
    arXiv 2305.10429. It starts at the prior. What the paper wants of the run is the average of a
    over all steps, as the fixed mixture of a later run: ``average`` in the state and diagnostics.

    The paper trains on uniformly sampled batches with losses reweighted by a; here a itself is the
    sampling mixture. In expectation the gradient is the same. In a batch it is not: a domain with a
    small weight is drawn seldom, and its excess is then old.

    A domain missing from the batch keeps its last excess. Before the first one, the released code
    (sangmichaelxie/doremi) takes ln(vocabulary size), which hands nearly the whole mixture to the
    domains that the first batch lacked; it also counts the initial weights as one more term of the
    average. The ports in the code of DoGE and of Aioli clip the domain's mean difference instead of
    each token's, start at an excess of 1e-6, and use eta 0.1 (no smoothing) and 0.01.

    Excess loss is not the benefit of more data: noise, the tokenizer, and text that the reference
    model has memorised all make it. The weights depend strongly on the size and the length of the
    run, and nothing is known of what one domain does for another.

    Every step asks for the reference loss: one forward pass of the reference model on the batch.

    Args:
        eta: Step size, in (0, 1e6].
        smoothing: Part of the mixture shared evenly, in [0, 1). 1e-3 in the script of the published
            run, 1e-4 in the code's own defaults. 0 lets a domain die for good.
        clip: "token" clips each token's excess at zero, as the paper; "domain" the domain's mean.
        initial_excess: Excess of a domain never measured, in ``unit``; None for the mean of those
            measured, weighted by the mixture, which moves it neither way.
        unit: What the excess is measured in. The paper's are nats per token; between languages
            only bits per byte compare.
    """

    eta: float = 1.0
    smoothing: float = 1e-3
    clip: Literal["token", "domain"] = "token"
    initial_excess: float | None = None
    unit: LossUnit = "nats_per_token"

    def __post_init__(self) -> None:
        if not 0 < self.eta <= 1e6:
            raise ValueError(f"eta must be in (0, 1e6], got {self.eta}")
        if not 0 <= self.smoothing < 1:
            raise ValueError(f"smoothing must be in [0, 1), got {self.smoothing}")
        if self.clip not in ("token", "domain"):
            raise ValueError(f"clip must be 'token' or 'domain', got {self.clip!r}")
        check_unit(self.unit)
        largest = MAX_LOSS[self.unit]
        if self.initial_excess is not None and not 0 <= self.initial_excess <= largest:
            raise ValueError(
                f"initial_excess must be in [0, {largest:g}] or None, got {self.initial_excess}"
            )

    @property
    def signals(self) -> frozenset[Signal]:
        return frozenset({Signal.REFERENCE_LOSS})

    def init(self, task: Task) -> DoReMiState:
        prior = check_weights(task.prior, task.names, "prior")
        given = self.initial_excess is not None
        return DoReMiState(
            weights=prior,
            average=prior,
            updates=0,
            excess=np.full(task.num_domains, self.initial_excess if given else 0.0, np.float64),
            known=np.full(task.num_domains, given),
        )

    def decide(self, state: DoReMiState, step: int) -> Decision:
        del step
        return Decision(state.weights, self.signals)

    def update(self, state: DoReMiState, feedback: Feedback) -> DoReMiState:
        if feedback.reference_loss is None:
            return state
        measured = self._measured(feedback.reference_loss, feedback)
        new = np.isfinite(measured)
        if not new.any():
            return state
        known = state.known | new
        excess = np.where(new, measured, state.excess)
        gain = self.eta * _filled(excess, known, state.weights)
        weights = mirror_step(state.weights, gain, self.smoothing)
        updates = state.updates + 1
        return DoReMiState(
            weights=weights,
            average=state.average + (weights - state.average) / updates,
            updates=updates,
            excess=excess,
            known=known,
        )

    def diagnostics(self, state: DoReMiState) -> Mapping[str, float | Array]:
        return {"average": state.average, "excess": state.excess}

    def _measured(self, reference: ReferenceLoss, feedback: Feedback) -> Array:
        """Clipped excess of each domain in the policy's unit, shape (k,); NaN where unusable."""
        if self.clip == "token":
            excess = reference.clipped_excess
        else:
            excess = np.maximum(reference.excess, 0.0)
        # No excess is larger than the loss that it is part of.
        usable = (excess >= 0) & (excess <= MAX_LOSS["nats_per_token"])
        nats = np.where(usable, excess, np.nan)
        if self.unit == "nats_per_token":
            return nats
        size = feedback.sum_by_domain(feedback.sequence_bytes)
        return nats * ratio(feedback.tokens, LN2 * size)


def _filled(excess: Array, known: NDArray[np.bool_], weights: Array) -> Array:
    """The excess losses, the weighted mean of the known ones where there is none, shape (k,)."""
    part = np.where(known, weights, 0.0)
    total = float(part.sum())
    return np.where(known, excess, part @ excess / total if total > 0 else 0.0)
