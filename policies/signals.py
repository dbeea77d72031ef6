"""What a decision can ask the trainer to measure, and the form in which the answer comes.

A domain that could not be measured, because the batch held none of it or its losses were not
finite, has NaN in its place. A policy must cope with any number of them.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

Array: TypeAlias = NDArray[np.float64]

LossUnit: TypeAlias = Literal["nats_per_token", "bits_per_byte"]
"""Published rules were stated in nats per token, which depend on the tokenizer; between languages
only bits per byte compare."""

MAX_LOSS: Mapping[LossUnit, float] = {"nats_per_token": 100.0, "bits_per_byte": 100.0}
"""The largest loss that is believed, of a sequence or of a domain.

Not knowing a word of a language costs the logarithm of the vocabulary's size: about 12 nats per
token, or 20 bits per byte where a token is hardly longer than a byte. Several times as much is a
fault and not a measurement, and its exponential would drown all measurements."""


def check_unit(unit: str) -> None:
    """Refuses what is not a `LossUnit`, by the name that settings have for it.

    Raises:
        ValueError: It is none.
    """
    if unit not in get_args(LossUnit):
        raise ValueError(f"unit must be 'nats_per_token' or 'bits_per_byte', got {unit!r}")


class Signal(enum.StrEnum):
    """What a decision can ask for. Training losses come unasked and free."""

    VALIDATION_LOSS = "validation_loss"
    GRADIENT_ALIGNMENT = "gradient_alignment"
    GRADIENT_NOISE = "gradient_noise"
    REFERENCE_LOSS = "reference_loss"
    MEMORISATION_GAP = "memorisation_gap"


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


class MemorisationGap(NamedTuple):
    """How much better the model knows training text for having read it before, each of shape (k,).

    The held-out loss minus the loss of training windows that were read before, less the same
    difference on windows that were not: two splits differ in their texts, memorised or not. A
    domain measured only in its first reading has nothing to remember: its gap is 0, as uncertain
    as that difference. A domain not measured in its first reading has NaN.

    Attributes:
        bits_per_byte: The gap; above zero where text is remembered rather than learnt.
        standard_error: Of ``bits_per_byte``, over training sequences.
        readings: How often the windows behind it had been read before, on average; 0 in the first
            reading.
    """

    bits_per_byte: Array
    standard_error: Array
    readings: Array


FORMS: dict[Signal, type[tuple[Any, ...]]] = {
    Signal.VALIDATION_LOSS: ValidationLoss,
    Signal.GRADIENT_ALIGNMENT: GradientSketches,
    Signal.GRADIENT_NOISE: GradientNoise,
    Signal.REFERENCE_LOSS: ReferenceLoss,
    Signal.MEMORISATION_GAP: MemorisationGap,
}
"""The form of each signal's answer: a NamedTuple of arrays."""
