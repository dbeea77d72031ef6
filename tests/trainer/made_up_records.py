"""What runs over any number of languages could have written."""

from __future__ import annotations

import numpy as np

from trainer.report.curves import Curves
from trainer.report.run_record import RunRecord


def made_up(num_languages: int, num_steps: int = 300) -> RunRecord:
    """A run whose language 0 is the largest and whose last one is worst and read most often."""
    generator = np.random.default_rng(0)
    names = tuple(f"l{number:03d}_Latn" for number in range(num_languages))
    rank = np.arange(num_languages)
    steps = 10.0 * np.arange(1, num_steps + 1)
    part = steps[:, None] / steps[-1]
    start = 1 / (rank + 1.0)
    weights = (1 - part) * start / start.sum() + part / num_languages
    epochs = part * (0.01 + 8 * (rank / num_languages) ** 4)
    bits = 1 + rank / num_languages + 2 * np.exp(-6 * part)
    train = bits + 0.05 * generator.normal(size=bits.shape)
    train[generator.random(train.shape) < 0.3] = np.nan
    train[-1] = bits[-1]
    validated = slice(num_steps // 10 - 1, None, max(1, num_steps // 10))
    curves = {
        "mixture/weight": Curves(steps, names, weights),
        "mixture/epochs": Curves(steps, names, epochs),
        "train/bits_per_byte": Curves(steps, names, train),
        "validation/bits_per_byte": Curves(steps[validated], names, bits[validated]),
    }
    domains = {
        name: {
            "tokens": 1e6 * float(weights[:, index].mean()),
            "epochs": float(epochs[-1, index]),
            "mean_weight": float(weights[:, index].mean()),
            "weight": float(weights[-1, index]),
            "validation_bits_per_byte": float(bits[-1, index]),
        }
        for index, name in enumerate(names)
    }
    return RunRecord(
        name="many",
        policy="UCB",
        step=int(steps[-1]),
        max_steps=int(steps[-1]),
        finished=True,
        tokens=1e6,
        total_cost=1.1e6,
        domains=domains,
        curves=curves,
    )
