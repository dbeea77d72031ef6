"""TensorBoard's custom scalars: which charts there are, and which lines share one."""

from __future__ import annotations

from typing import TypeAlias

Layout: TypeAlias = dict[str, dict[str, list[str | list[str]]]]

_ALWAYS = {
    "languages": {
        "validation, bits per byte": [r"validation/bits_per_byte/.*"],
        "training, bits per byte": [r"train/bits_per_byte/.*"],
        "mean and worst, bits per byte": [
            r"validation/bits_per_byte_(mean|worst)",
            r"train/bits_per_byte_(mean|worst)",
        ],
    },
    "mixture": {
        "weights": [r"mixture/weight/.*"],
        "epochs": [r"mixture/epochs/.*"],
        "tokens": [r"mixture/tokens/.*"],
    },
    "health": {
        "losses that were not finite": [r"train/dropped_sequences.*", r"train/skipped_steps"],
        "learning rate": [r"optimizer/learning_rate"],
    },
}
_SIGNALS = {
    "cost of signals": {
        "tokens trained, and with signals": [r"tokens/(trained|total_cost)"],
        "tokens by signal": [r"signals/tokens/.*"],
        "milliseconds of a measurement": [r"signals/milliseconds/.*"],
    }
}
_CONSTRAINTS = {
    "constraints": {
        "what the policy proposed": [r"constraints/proposed/.*"],
        "price per share": [r"constraints/price/.*"],
        "loosened": [r"constraints/loosened/.*"],
    }
}


def layout(*, signals: bool, constraints: bool) -> Layout:
    """The charts of a run, one line per tag that a pattern matches.

    Args:
        signals: Whether anything is measured beyond training losses.
        constraints: Whether the mixture has any.
    """
    groups = _ALWAYS | (_SIGNALS if signals else {}) | (_CONSTRAINTS if constraints else {})
    return {
        group: {title: ["Multiline", tags] for title, tags in charts.items()}
        for group, charts in groups.items()
    }
