"""A simulated run that moves step by step, as training does."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.feedback import LN2, Feedback
from policies.proportional import Proportional
from policies.signals import (
    Array,
    GradientNoise,
    GradientSketches,
    ReferenceLoss,
    Signal,
    ValidationLoss,
)
from policies.simulator.law import loss, slope, training_loss, worth
from policies.simulator.scenario import Scenario

SKETCH_SIZE = 256
# Part of the noise of a held-out loss that is drawn anew each time: the sequences stay the same, so
# most of it is common to all measurements and leaves their differences alone.
FRESH_NOISE = 0.1
# Standard deviation of (loss - reference loss) between the tokens of a domain, in nats.
TOKEN_SPREAD = 1.0


class Simulation:
    """One run of a scenario. All that is random follows from the seed and the step.

    Attributes:
        scenario: The scenario.
        task: What a policy is told before the run.
        step_number: The next step.
        exposure: What has been read of each domain, in exposure as the law counts it, shape (k,).
        tokens: Tokens drawn of each domain, shape (k,).
    """

    def __init__(self, scenario: Scenario, seed: int = 0) -> None:
        if seed < 0:
            raise ValueError(f"seed must not be negative, got {seed}")
        self.scenario = scenario
        self.task = scenario.task(seed)
        self.step_number = 0
        self.exposure: Array = np.zeros(scenario.num_domains)
        self.tokens: Array = np.zeros(scenario.num_domains)
        self._seed = seed
        # How far each domain's held-out sequences lie from its true loss, the whole run long.
        self._offset = np.random.default_rng([seed, 0, 1]).normal(size=scenario.num_domains)

    @property
    def losses(self) -> Array:
        """True held-out loss of each domain now, without noise, bits per byte, shape (k,)."""
        return loss(self.scenario, self.exposure)

    def step(self, weights: Array, signals: Iterable[Signal] = ()) -> Feedback:
        """Draw a batch, train on it, and measure what is asked for.

        Args:
            weights: The mixture, shape (k,).
            signals: What to measure: held-out losses after the step, gradients and the reference
                at the weights the batch met.

        Raises:
            ValueError: The run is over.
        """
        scenario, step = self.scenario, self.step_number
        if step >= scenario.total_steps:
            raise ValueError(f"the run is over after total_steps = {scenario.total_steps} steps")
        generator = np.random.default_rng([self._seed, step])
        domain = self._draw(weights, generator)
        counts = np.bincount(domain, minlength=scenario.num_domains)
        drawn = counts * float(scenario.sequence_length)
        before, self.tokens = self.exposure, self.tokens + drawn
        epochs = self.tokens / scenario.unique_tokens
        train = training_loss(scenario, before, epochs)
        noise = scenario.noise[domain] * generator.normal(size=len(domain))
        self.exposure = before + drawn * (
            scenario.token_worth[step] * scenario.usefulness[scenario.part(step)]
        )
        self.step_number += 1
        text = np.round(scenario.sequence_length * scenario.bytes_per_token[domain])
        return Feedback(
            step=step,
            weights=weights,
            counts=counts,
            epochs=epochs,
            sequence_domain=domain,
            sequence_loss=np.maximum(train[domain] + noise, 0.0) * LN2 * text,
            sequence_tokens=np.full(len(domain), float(scenario.sequence_length)),
            sequence_bytes=text,
            learning_rate=float(scenario.learning_rates[step]),
            signals=self._measure(signals, before, counts, train, generator),
        )

    def _draw(self, weights: Array, generator: np.random.Generator) -> NDArray[np.int64]:
        """Domains of the batch by systematic rounding: counts within one of their expectation."""
        size = self.scenario.sequences_per_step
        places = (np.arange(size) + generator.random()) / size
        shares = np.cumsum(weights)
        # The last domain with a share takes what rounding leaves beyond the sum.
        last = int(np.flatnonzero(weights)[-1])
        return np.minimum(np.searchsorted(shares, places, side="right"), last)

    def _measure(
        self,
        signals: Iterable[Signal],
        before: Array,
        counts: NDArray[np.int64],
        train: Array,
        generator: np.random.Generator,
    ) -> Mapping[Signal, Any]:
        measured: dict[Signal, Any] = {}
        for signal in sorted(signals):
            if signal is Signal.VALIDATION_LOSS:
                measured[signal] = self._validation(generator)
            elif signal is Signal.GRADIENT_ALIGNMENT:
                measured[signal] = self._sketches(before, counts, generator)
            elif signal is Signal.GRADIENT_NOISE:
                measured[signal] = self._gradient_noise(before, counts, generator)
            elif signal is Signal.REFERENCE_LOSS:
                measured[signal] = self._reference(train, counts)
            else:
                raise ValueError(f"the simulator cannot measure {signal}; choose another policy")
        return measured

    def _validation(self, generator: np.random.Generator) -> ValidationLoss:
        scenario = self.scenario
        error = scenario.noise / np.sqrt(scenario.validation_sequences)
        fresh = generator.normal(size=scenario.num_domains)
        deviation = np.sqrt(1 - FRESH_NOISE**2) * self._offset + FRESH_NOISE * fresh
        bits = np.maximum(self.losses + error * deviation, 0.0)
        return ValidationLoss(bits * LN2 * scenario.bytes_per_token, bits, error)

    def _sketches(
        self, before: Array, counts: NDArray[np.int64], generator: np.random.Generator
    ) -> GradientSketches:
        """Gradients whose product validation_i . train_j is the law's derivative.

        In expectation it is the fall of domain i's loss, in bits per byte, by a batch's worth of
        domain j: ``tokens_per_step * slope_i * tau_ij * worth_j``, with the usefulness of j.
        """
        scenario, (evaluated, trained) = self.scenario, self._directions
        useful = scenario.usefulness[scenario.part(self.step_number - 1)]
        fall = scenario.tokens_per_step * slope(scenario, before)
        train = (worth(scenario, before) * useful)[:, None] * trained
        norm = np.sqrt(np.mean(train**2, axis=1) / np.maximum(counts, 1))
        train = train + (scenario.gradient_noise * norm)[:, None] * generator.normal(
            size=train.shape
        )
        train[counts == 0] = np.nan
        return GradientSketches(train, fall[:, None] * evaluated)

    @cached_property
    def _directions(self) -> tuple[Array, Array]:
        """Rows v_i and t_j with ``v_i . t_j = tau_ij``, exactly or, beyond 256 domains, projected.

        Both are (k, d).
        """
        tau, number = self.scenario.transfer.dense(), self.scenario.num_domains
        if number <= SKETCH_SIZE:
            return np.eye(number), tau.T
        generator = np.random.default_rng([self._seed, 0, 2])
        projection = generator.normal(size=(number, SKETCH_SIZE)) / np.sqrt(SKETCH_SIZE)
        return projection, tau.T @ projection

    def _gradient_noise(
        self, before: Array, counts: NDArray[np.int64], generator: np.random.Generator
    ) -> GradientNoise:
        """Squared norm is what a batch of the domain's own text takes off its own loss.

        That is what the squared gradient is to plain gradient descent, up to the learning rate. The
        variance of a sequence's gradient stays what it was at the start, as noise does.
        """
        scenario = self.scenario
        useful = scenario.usefulness[scenario.part(self.step_number - 1)]
        own = scenario.tokens_per_step * slope(scenario, before) * worth(scenario, before) * useful
        first = scenario.tokens_per_step * scenario.alpha * scenario.gain / scenario.start_tokens
        variance = scenario.gradient_noise**2 * first / scenario.sequences_per_step
        share = np.maximum(counts, 1)
        squared = own + variance / share * generator.normal(size=len(own)) / np.sqrt(share)
        absent = counts == 0
        return GradientNoise(
            np.where(absent, np.nan, squared), np.where(counts < 2, np.nan, variance)
        )

    def _reference(self, train: Array, counts: NDArray[np.int64]) -> ReferenceLoss:
        """Beside a model that was trained to the end on the natural mixture, on the same tokens."""
        from scipy.special import ndtr

        nats = LN2 * self.scenario.bytes_per_token
        excess = np.where(counts > 0, nats * (train - self._reference_losses), np.nan)
        scaled = excess / TOKEN_SPREAD
        density = np.exp(-(scaled**2) / 2) / np.sqrt(2 * np.pi)
        return ReferenceLoss(excess, excess * ndtr(scaled) + TOKEN_SPREAD * density)

    @cached_property
    def _reference_losses(self) -> Array:
        natural = Proportional().mixture(self.task)
        return loss(self.scenario, natural * self.scenario.part_exposure.sum(axis=0))
