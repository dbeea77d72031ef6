"""Made-up tasks and feedback, to try a policy without training anything."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from policies.feedback import LN2, Feedback
from policies.policy import Task
from policies.signals import (
    Array,
    GradientNoise,
    GradientSketches,
    MemorisationGap,
    ReferenceLoss,
    Signal,
    ValidationLoss,
)

TOKENS_PER_SEQUENCE = 128
SKETCH_SIZE = 16


def make_task(num_domains: int, *, seed: int = 0, total_steps: int = 1000) -> Task:
    """A task with domains ``d0000``, ``d0001``, ... of very different sizes and an uneven prior."""
    generator = np.random.default_rng([seed, num_domains])
    return Task(
        names=tuple(f"d{domain:04d}" for domain in range(num_domains)),
        unique_tokens=np.ceil(generator.lognormal(14, 2, num_domains)),
        bytes_per_token=generator.uniform(2, 6, num_domains),
        prior=generator.dirichlet(np.full(num_domains, 5.0)),
        target=np.full(num_domains, 1 / num_domains),
        total_steps=total_steps,
        tokens_per_step=64 * TOKENS_PER_SEQUENCE,
        seed=seed,
    )


def make_feedback(
    task: Task,
    weights: Array,
    step: int,
    *,
    bits_per_byte: Array | None = None,
    noise: Array | float = 0.1,
) -> Feedback:
    """The feedback of one batch drawn with these weights.

    Args:
        task: The task; its seed and the step decide all that is random.
        weights: The mixture in force, shape (k,).
        step: The step of the batch.
        bits_per_byte: Mean loss of each domain, shape (k,); by default falling with the step.
        noise: Standard deviation of a sequence's loss about it, in bits per byte, for all domains
            or shape (k,).
    """
    generator = np.random.default_rng([task.seed, step])
    size = task.tokens_per_step // TOKENS_PER_SEQUENCE
    # Evenly spaced draws: a domain's count is within one of its expectation.
    places = (np.arange(size) + generator.random()) / size
    domain = np.minimum(np.searchsorted(np.cumsum(weights), places), task.num_domains - 1)
    if bits_per_byte is None:
        bits_per_byte = 1 + 1 / np.sqrt(1 + step + np.arange(task.num_domains))
    deviation = np.broadcast_to(noise, task.num_domains)[domain] * generator.normal(size=size)
    tokens = np.full(size, float(TOKENS_PER_SEQUENCE))
    text = np.round(tokens * task.bytes_per_token[domain])
    counts = np.bincount(domain, minlength=task.num_domains)
    return Feedback(
        step=step,
        weights=weights,
        counts=counts,
        epochs=(step + 1) * counts * TOKENS_PER_SEQUENCE / task.unique_tokens,
        sequence_domain=domain,
        sequence_loss=(bits_per_byte[domain] + deviation) * LN2 * text,
        sequence_tokens=tokens,
        sequence_bytes=text,
        learning_rate=1e-3 * (1 - step / (2 * task.total_steps)),
    )


def make_signals(task: Task, step: int) -> Mapping[Signal, Any]:
    """Every signal of one step, a domain's numbers depending on its name and not on its place."""
    generator = np.random.default_rng([task.seed, step, 1])
    num_domains = task.num_domains
    place = np.argsort(np.argsort(task.names))  # Drawn for the names in alphabetical order.
    loss = 1 + 2 / np.sqrt(1 + step) + generator.uniform(0, 0.5, num_domains)[place]
    common = generator.normal(size=SKETCH_SIZE)
    train, validation = (
        common + generator.normal(size=(num_domains, SKETCH_SIZE))[place] for _ in range(2)
    )
    excess = generator.normal(0, 0.5, num_domains)[place]
    return {
        Signal.VALIDATION_LOSS: ValidationLoss(
            nats_per_token=loss * LN2 * task.bytes_per_token,
            bits_per_byte=loss,
            standard_error=np.full(num_domains, 0.01),
        ),
        Signal.GRADIENT_ALIGNMENT: GradientSketches(train, validation),
        Signal.GRADIENT_NOISE: GradientNoise(
            squared_norm=generator.uniform(-0.1, 1, num_domains)[place],
            variance=generator.uniform(0, 5, num_domains)[place],
        ),
        Signal.REFERENCE_LOSS: ReferenceLoss(excess, np.abs(excess) / 2 + np.maximum(excess, 0)),
        Signal.MEMORISATION_GAP: MemorisationGap(
            bits_per_byte=generator.normal(0.1, 0.1, num_domains)[place],
            standard_error=np.full(num_domains, 0.02),
            readings=generator.uniform(0, 4, num_domains)[place],
        ),
    }
