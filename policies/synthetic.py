"""Made-up tasks and feedback, to try a policy without training anything."""

from __future__ import annotations

import numpy as np

from policies.feedback import LN2, Feedback
from policies.policy import Array, Task

TOKENS_PER_SEQUENCE = 128


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
    )
