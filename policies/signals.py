"""What a decision can ask the trainer to measure, and the form in which the answer comes.

A domain that could not be measured, because the batch held none of it or its losses were not
finite, has NaN in its place. A policy must cope with any number of them.
"""

from __future__ import annotations

import enum
from typing import Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

LossUnit: TypeAlias = Literal["nats_per_token", "bits_per_byte"]
"""Published rules were stated in nats per token, which depend on the tokenizer; between languages
only bits per byte compare."""


class Signal(enum.StrEnum):
    """What a decision can ask for. Training losses come unasked and free."""

    VALIDATION_LOSS = "validation_loss"
    GRADIENT_ALIGNMENT = "gradient_alignment"
    GRADIENT_NOISE = "gradient_noise"
    REFERENCE_LOSS = "reference_loss"


class ValidationLoss(NamedTuple):
    """Losses on the same held-out sequences each time, after the step; each of shape (k,).

    Attributes:
        nats_per_token: Mean loss per token.
        bits_per_byte: Loss per byte of text.
        standard_error: Of ``bits_per_byte``, over sequences.
    """

    nats_per_token: Array
    bits_per_byte: Array
    standard_error: Array

    def loss(self, unit: LossUnit) -> Array:
        """The loss in one of its units, shape (k,)."""
        return self.bits_per_byte if unit == "bits_per_byte" else self.nats_per_token


class GradientSketches(NamedTuple):
    """Gradients of each domain's mean loss at the weights the step's batch met, each (k, d).

    The d numbers are the gradient itself or a random projection of it that keeps inner products in
    expectation; so rows may be scaled, added and multiplied with each other, and nothing else.

    Attributes:
        train: On the training sequences of the batch.
        validation: On held-out sequences.
    """

    train: Array
    validation: Array


class GradientNoise(NamedTuple):
    """How large and how certain each domain's training gradient is, each of shape (k,).

    Attributes:
        squared_norm: Squared norm of the expected gradient, estimated without bias: it may come
            out negative where noise prevails.
        variance: Variance of one sequence's gradient about it, summed over parameters.
    """

    squared_norm: Array
    variance: Array


class ReferenceLoss(NamedTuple):
    """The model beside a frozen reference model on the training tokens of the batch, each (k,).

    Attributes:
        excess: Mean of (loss - reference loss) over the domain's tokens, nats.
        clipped_excess: Mean of max(loss - reference loss, 0) over its tokens, nats.
    """

    excess: Array
    clipped_excess: Array
