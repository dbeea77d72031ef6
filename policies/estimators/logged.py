"""Rounds in which one domain each was drawn, and what a target mixture is estimated to earn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.signals import Array


class Estimate(NamedTuple):
    """A mean reward and its standard error; either is NaN where the rounds do not tell it."""

    value: float
    standard_error: float


@dataclass(frozen=True, kw_only=True)
class LoggedRounds:
    """Rounds drawn under one mixture, to be judged under another; n rounds, k domains.

    Attributes:
        actions: Domain drawn in each round, shape (n,), integers.
        rewards: What it earned, shape (n,).
        propensity: Probability with which that domain was drawn, in (0, 1], shape (n,).
        target: Probabilities of the mixture to be judged, shape (n, k), or (k,) for all rounds.
        model: Predicted reward of each domain, shape (n, k), or (k,) for all rounds.
    """

    actions: NDArray[np.int64]
    rewards: Array
    propensity: Array
    target: Array
    model: Array

    def __post_init__(self) -> None:
        if self.actions.ndim != 1 or len(self.actions) == 0:
            raise ValueError(f"actions must have shape (n,) with n > 0, got {self.actions.shape}")
        number, domains = len(self.actions), self.target.shape[-1]
        for field in ("rewards", "propensity"):
            shape = getattr(self, field).shape
            if shape != (number,):
                raise ValueError(f"{field} must have shape ({number},), got {shape}")
        for field in ("target", "model"):
            shape = getattr(self, field).shape
            if shape not in ((number, domains), (domains,)):
                raise ValueError(
                    f"{field} must have shape ({number}, {domains}) or ({domains},), got {shape}"
                )
        for field in ("rewards", "target", "model"):
            if not np.isfinite(getattr(self, field)).all():
                raise ValueError(f"{field} must be finite: leave out rounds that were not measured")
        if not ((self.propensity > 0) & (self.propensity <= 1)).all():
            raise ValueError("propensity must be in (0, 1]: what was drawn had a chance")
        if not ((self.actions >= 0) & (self.actions < domains)).all():
            raise ValueError(f"actions must be in [0, {domains}), the domains of target")

    @property
    def weight(self) -> Array:
        """How much likelier the target mixture was to draw what was drawn, shape (n,)."""
        return self._of_action(self.target) / self.propensity

    @property
    def predicted(self) -> Array:
        """The model's mean reward under the target mixture in each round, shape (n,)."""
        total = self.target.sum(axis=-1)  # Off one by rounding, and then so is the mean.
        mean = (self.target * self.model).sum(axis=-1) / total
        return np.broadcast_to(mean, self.rewards.shape)

    @property
    def surprise(self) -> Array:
        """Reward less what the model predicted for the domain drawn, shape (n,)."""
        return self.rewards - self._of_action(self.model)

    @property
    def matched(self) -> NDArray[np.bool_]:
        """Where the target mixture was certain to draw what was drawn, shape (n,)."""
        return np.equal(self._of_action(self.target), 1)

    def _of_action(self, values: Array) -> Array:
        whole = np.broadcast_to(values, (len(self.actions), values.shape[-1]))
        return whole[np.arange(len(self.actions)), self.actions]
