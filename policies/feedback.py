"""What training tells a policy about one step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.signals import (
    Array,
    GradientNoise,
    GradientSketches,
    LossUnit,
    MemorisationGap,
    ReferenceLoss,
    Signal,
    ValidationLoss,
)

LN2 = float(np.log(2.0))


@dataclass(frozen=True, kw_only=True)
class Feedback:
    """One step's batch as a policy sees it; k domains, n sequences in the global batch.

    The per-domain numbers leave out sequences whose loss was not finite; ``dropped`` counts them.

    Attributes:
        step: The optimiser step whose batch this is, from 0.
        weights: The mixture in force when the batch was drawn, shape (k,).
        counts: Sequences drawn of each domain, shape (k,): the realised propensities.
        epochs: How often each domain's unique tokens had been read after this batch, shape (k,).
        sequence_domain: Domain of each sequence, shape (n,), integers.
        sequence_loss: Summed loss of each sequence in nats, shape (n,); NaN or infinite as it came.
        sequence_tokens: Tokens predicted in each sequence, shape (n,).
        sequence_bytes: UTF-8 bytes those tokens stand for, shape (n,).
        learning_rate: The optimiser's learning rate in this step.
        signals: What the decision asked for, by signal, in the forms of `policies.signals`.
    """

    step: int
    weights: Array
    counts: NDArray[np.int64]
    epochs: Array
    sequence_domain: NDArray[np.int64]
    sequence_loss: Array
    sequence_tokens: Array
    sequence_bytes: Array
    learning_rate: float
    signals: Mapping[Signal, Any] = field(default_factory=dict)

    @property
    def num_domains(self) -> int:
        return len(self.weights)

    @property
    def finite(self) -> NDArray[np.bool_]:
        """Which sequences have a usable loss, shape (n,)."""
        return np.isfinite(self.sequence_loss)

    def sum_by_domain(self, values: Array) -> Array:
        """Sum one number per sequence into one per domain, non-finite losses left out: (k,)."""
        use = self.finite
        sums = np.bincount(self.sequence_domain[use], values[use], self.num_domains)
        return sums.astype(np.float64)

    @property
    def dropped(self) -> NDArray[np.int64]:
        """Sequences of each domain whose loss was NaN or infinite, shape (k,)."""
        return np.bincount(self.sequence_domain[~self.finite], minlength=self.num_domains)

    @property
    def tokens(self) -> Array:
        """Tokens behind each domain's loss, shape (k,)."""
        return self.sum_by_domain(self.sequence_tokens)

    @property
    def loss(self) -> Array:
        """Mean training loss of each domain in nats per token, shape (k,); NaN where none."""
        return ratio(self.sum_by_domain(self.sequence_loss), self.tokens)

    @property
    def sequence_bits_per_byte(self) -> Array:
        """Loss of each sequence in bits per byte of its text, shape (n,); NaN without bytes."""
        return ratio(self.sequence_loss, LN2 * self.sequence_bytes)

    @property
    def bits_per_byte(self) -> Array:
        """Training loss of each domain in bits per byte of text, shape (k,); NaN where none."""
        nats = self.sum_by_domain(self.sequence_loss)
        return ratio(nats, LN2 * self.sum_by_domain(self.sequence_bytes))

    def training_loss(self, unit: LossUnit) -> Array:
        """Mean training loss of each domain in one of its units, shape (k,); NaN where none."""
        return self.bits_per_byte if unit == "bits_per_byte" else self.loss

    @property
    def validation_loss(self) -> ValidationLoss | None:
        """Held-out losses after the step, if they were asked for."""
        return self.signals.get(Signal.VALIDATION_LOSS)

    @property
    def gradients(self) -> GradientSketches | None:
        """Gradients of each domain, if they were asked for."""
        return self.signals.get(Signal.GRADIENT_ALIGNMENT)

    @property
    def gradient_noise(self) -> GradientNoise | None:
        """Size and noise of each domain's gradient, if they were asked for."""
        return self.signals.get(Signal.GRADIENT_NOISE)

    @property
    def reference_loss(self) -> ReferenceLoss | None:
        """Losses beside those of a reference model, if they were asked for."""
        return self.signals.get(Signal.REFERENCE_LOSS)

    @property
    def memorisation_gap(self) -> MemorisationGap | None:
        """How much better known training text is that was read before, if that was asked for."""
        return self.signals.get(Signal.MEMORISATION_GAP)


def ratio(numerator: Array, denominator: Array) -> Array:
    """Elementwise quotient, NaN where the denominator is not positive."""
    quotient = np.full(len(numerator), np.nan)
    with np.errstate(over="ignore"):  # A diverged loss may overflow: infinity says so by itself.
        np.divide(numerator, denominator, out=quotient, where=denominator > 0)
    return quotient
