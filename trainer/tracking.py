"""Running totals per domain: what dashboards, progress bars and summaries show of training."""

from __future__ import annotations

from typing import Any

import numpy as np

from policies import Array, Feedback
from policies.feedback import LN2, ratio

_SMOOTHING = 0.95
_TOTALS = ("weight_sum", "dropped", "nats", "bytes", "smooth")


class DomainTotals:
    """Sums over training steps, one number per domain.

    Attributes:
        steps: Steps heard of.
        weight_sum: Sum over steps of the weights in force.
        dropped: Sequences whose loss was NaN or infinite.
        nats: Training loss since the last `take_window`, in nats.
        bytes: Text behind that loss, in bytes.
        smooth: Bits per byte, smoothed over steps; NaN until a domain is first seen.
    """

    def __init__(self, num_domains: int) -> None:
        self.steps = 0
        self.weight_sum: Array = np.zeros(num_domains)
        self.dropped: Array = np.zeros(num_domains)
        self.nats: Array = np.zeros(num_domains)
        self.bytes: Array = np.zeros(num_domains)
        self.smooth: Array = np.full(num_domains, np.nan)

    def add(self, feedback: Feedback) -> None:
        """Count one step in."""
        self.steps += 1
        self.weight_sum += feedback.weights
        self.dropped += feedback.dropped
        self.nats += feedback.sum_by_domain(feedback.sequence_loss)
        self.bytes += feedback.sum_by_domain(feedback.sequence_bytes)
        now = feedback.bits_per_byte
        blended = _SMOOTHING * self.smooth + (1 - _SMOOTHING) * now
        self.smooth = np.where(
            np.isnan(self.smooth), now, np.where(np.isnan(now), self.smooth, blended)
        )

    @property
    def mean_weights(self) -> Array:
        """The mixture in force, averaged over steps, shape (k,)."""
        return self.weight_sum / max(1, self.steps)

    def take_window(self) -> Array:
        """Bits per byte of training since the last call, shape (k,), NaN where nothing was seen."""
        window = ratio(self.nats, LN2 * self.bytes)
        self.nats, self.bytes = np.zeros_like(self.nats), np.zeros_like(self.bytes)
        return window

    def state_dict(self) -> dict[str, Any]:
        return {"steps": self.steps, **{name: getattr(self, name).tolist() for name in _TOTALS}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.steps = state["steps"]
        for name in _TOTALS:
            setattr(self, name, np.array(state[name], dtype=np.float64))
