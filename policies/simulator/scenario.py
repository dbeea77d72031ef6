"""A training run in numbers: its domains, their laws, its budget and its noise."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, final

import numpy as np

from policies.policy import Task
from policies.signals import Array
from policies.simplex import check_weights
from policies.simulator.transfer import Transfer
from policies.unimax import UniMax

PEAK_LEARNING_RATE = 1e-3
FINAL_RATE = 0.1  # Of the peak, where a cosine ends.
# Numbers of each domain, by what they may be.
POSITIVE = ("unique_tokens", "gain", "alpha", "decay", "bytes_per_token")
NOT_NEGATIVE = ("floor", "noise")


@final
@dataclass(frozen=True, kw_only=True, eq=False)
class Scenario:
    """What a simulated run is made of; see `policies.simulator.law` for the law.

    Compared by identity. `dataclasses.replace` makes variants. Lists of numbers become arrays.

    Args:
        name: What to call it.
        domains: Names of the k domains.
        unique_tokens: Tokens of each domain's training split, shape (k,).
        transfer: What one domain's text is worth to another.
        floor: Loss after endless fresh text, bits per byte, shape (k,).
        gain: Loss of the untrained model above the floor, bits per byte, positive, shape (k,).
        alpha: Exponent of each domain's power law, positive, shape (k,).
        start_tokens: Tokens of a domain's own text that take its reducible loss to 2 ** -alpha of
            where it starts.
        decay: Repeats of a domain's text after which one more is worth 1/e, shape (k,).
        noise: Standard deviation of one sequence's loss, bits per byte, shape (k,).
        bytes_per_token: Shape (k,).
        target: How much each domain counts in the end, shape (k,).
        usefulness: What a token of each domain teaches in each of g equally long parts of the run,
            relative to a full token, shape (g, k).
        schedule: Learning rate over the run: "constant", or "cosine" down to a tenth.
        memorisation: Part of its loss that text loses, to the eye of the training loss only, when
            it has been repeated often; in [0, 1).
        gradient_noise: Standard deviation of one sequence's gradient over the gradient's norm.
        validation_sequences: Held-out sequences of each domain.
        total_steps: Optimiser steps; a multiple of g.
        sequences_per_step: Sequences of a batch.
        sequence_length: Tokens of a sequence.
    """

    name: str
    domains: tuple[str, ...]
    unique_tokens: Array
    transfer: Transfer
    floor: Array
    gain: Array
    alpha: Array
    start_tokens: float
    decay: Array
    noise: Array
    bytes_per_token: Array
    target: Array
    usefulness: Array
    schedule: Literal["constant", "cosine"] = "constant"
    memorisation: float = 0.3
    gradient_noise: float = 3.0
    validation_sequences: int = 64
    total_steps: int = 500
    sequences_per_step: int = 64
    sequence_length: int = 1024

    def __post_init__(self) -> None:
        object.__setattr__(self, "domains", tuple(self.domains))
        if not self.domains:
            raise ValueError("domains must name at least one domain, got none")
        for name in POSITIVE + NOT_NEGATIVE + ("target", "usefulness"):
            self._make_array(name)
        for name in POSITIVE:
            self._check_array(name, positive=True)
        for name in NOT_NEGATIVE:
            self._check_array(name, positive=False)
        check_weights(self.target, self.domains, "target")
        if not isinstance(self.transfer, Transfer):
            raise ValueError(
                f"transfer must be a Transfer, got {type(self.transfer).__name__}; "
                f"Transfer.from_dense makes one of a matrix"
            )
        if self.transfer.num_domains != self.num_domains:
            raise ValueError(
                f"transfer must be between {self.num_domains} domains, "
                f"got {self.transfer.num_domains}"
            )
        if not (self.start_tokens > 0 and np.isfinite(self.start_tokens)):
            raise ValueError(f"start_tokens must be positive, got {self.start_tokens}")
        if not 0 <= self.memorisation < 1:
            raise ValueError(f"memorisation must be in [0, 1), got {self.memorisation}")
        if not 0 <= self.gradient_noise < np.inf:
            raise ValueError(f"gradient_noise must not be negative, got {self.gradient_noise}")
        if self.schedule not in ("constant", "cosine"):
            raise ValueError(f"schedule must be 'constant' or 'cosine', got {self.schedule!r}")
        for name in (
            "validation_sequences",
            "total_steps",
            "sequences_per_step",
            "sequence_length",
        ):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        self._check_usefulness()

    def _make_array(self, name: str) -> None:
        """Puts an array of floats, which the fields are declared as, in place of a list."""
        try:
            values = np.asarray(getattr(self, name), dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{name} must be an array of numbers: {error}") from error
        object.__setattr__(self, name, values)

    def _check_array(self, name: str, *, positive: bool) -> None:
        values = getattr(self, name)
        if values.shape != (self.num_domains,):
            raise ValueError(f"{name} must have shape ({self.num_domains},), got {values.shape}")
        if not (np.isfinite(values) & (values > 0 if positive else values >= 0)).all():
            sign = "positive" if positive else "not negative"
            raise ValueError(f"{name} must be finite and {sign}, got {values.min()}")

    def _check_usefulness(self) -> None:
        shape = self.usefulness.shape
        if len(shape) != 2 or shape[1] != self.num_domains or shape[0] < 1:
            raise ValueError(f"usefulness must have shape (g, {self.num_domains}), got {shape}")
        if not (np.isfinite(self.usefulness) & (self.usefulness >= 0)).all():
            raise ValueError("usefulness must be finite and not negative")
        if not self.usefulness.any(axis=1).all():
            raise ValueError("usefulness must be positive for some domain in every part")
        if self.total_steps % shape[0]:
            raise ValueError(
                f"total_steps must be a multiple of the {shape[0]} parts of usefulness, "
                f"got {self.total_steps}"
            )

    @property
    def num_domains(self) -> int:
        return len(self.domains)

    @property
    def num_parts(self) -> int:
        """Equally long parts of the run in which the usefulness of text stays as it is."""
        return len(self.usefulness)

    @property
    def tokens_per_step(self) -> int:
        return self.sequences_per_step * self.sequence_length

    @property
    def convex(self) -> bool:
        """Whether losses are convex in the tokens drawn, so that optima can be certified."""
        return self.transfer.harmless

    @cached_property
    def learning_rates(self) -> Array:
        """Learning rate of each step, shape (total_steps,)."""
        if self.schedule == "constant":
            return np.full(self.total_steps, PEAK_LEARNING_RATE)
        done = (np.arange(self.total_steps) + 0.5) / self.total_steps
        fall = (1 + np.cos(np.pi * done)) / 2
        rates: Array = PEAK_LEARNING_RATE * (FINAL_RATE + (1 - FINAL_RATE) * fall)
        return rates

    @cached_property
    def token_worth(self) -> Array:
        """Exposure that a token drawn in a step gives by the schedule alone, (total_steps,)."""
        return self.learning_rates / float(self.learning_rates.mean())

    @cached_property
    def part_exposure(self) -> Array:
        """Exposure of each domain if it had all of a part of the run, shape (g, k)."""
        weight = self.token_worth.reshape(self.num_parts, -1).sum(axis=1)
        exposure: Array = self.tokens_per_step * weight[:, None] * self.usefulness
        return exposure

    def part(self, step: int) -> int:
        """Which part of the run a step lies in."""
        return min(step * self.num_parts // self.total_steps, self.num_parts - 1)

    def task(self, seed: int = 0) -> Task:
        """The run as a policy sees it before it starts; the prior is UniMax."""
        target = check_weights(self.target, self.domains, "target")
        task = Task(
            names=self.domains,
            unique_tokens=self.unique_tokens,
            bytes_per_token=self.bytes_per_token,
            prior=target,
            target=target,
            total_steps=self.total_steps,
            tokens_per_step=self.tokens_per_step,
            seed=seed,
        )
        return Task(**{**task.__dict__, "prior": UniMax().mixture(task)})
