"""Effects of shares from whole batches or windows, of whose design the second moment is known."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from policies.estimators.effects import MAX_OUTCOME, Effects
from policies.signals import Array

# Second moments of shares reach down to the square of the smallest share.
RANK_TOLERANCE = 1e-12


@dataclass(frozen=True, kw_only=True)
class Slates:
    """Rounds whose shares were drawn by a known design; n rounds, k domains, m rewards.

    Attributes:
        shares: Shares realised in each round, shape (n, k).
        expected: Their expectation under the design, shape (n, k), or (k,) for all rounds.
        rewards: What was measured, shape (n, m); not finite, or absurd, where it could not be.
    """

    shares: Array
    expected: Array
    rewards: Array

    def __post_init__(self) -> None:
        if self.shares.ndim != 2:
            raise ValueError(f"shares must have shape (n, k), got {self.shares.shape}")
        number, domains = self.shares.shape
        if self.expected.shape not in ((number, domains), (domains,)):
            raise ValueError(
                f"expected must have shape ({number}, {domains}) or ({domains},), "
                f"got {self.expected.shape}"
            )
        if self.rewards.ndim != 2 or len(self.rewards) != number:
            raise ValueError(f"rewards must have shape ({number}, m), got {self.rewards.shape}")
        if not (np.isfinite(self.shares).all() and np.isfinite(self.expected).all()):
            raise ValueError("shares and expected must be finite: leave out rounds without them")

    @property
    def measured(self) -> NDArray[np.bool_]:
        """Which rewards are numbers to reckon with, shape (n, m)."""
        return np.less(np.abs(self.rewards), MAX_OUTCOME)

    @property
    def deviation(self) -> Array:
        """Shares less their expectation, shape (n, k)."""
        return self.shares - self.expected


def pseudo_inverse_slate(slates: Slates, covariance: Array) -> Effects:
    """Effects under an additive reward, by the design alone (Swaminathan et al., arXiv 1605.04812).

    If round t earns ``phi . z_t`` on average for shares z_t, then

        phi = mean of G_t^+ z_t y_t,   G_t = E[z_t z_t'] = covariance_t + p_t p_t',

    unbiased for every reward that is additive. The paper's slates are 0 and 1, ours are shares.
    The whole level of the rewards enters the noise: prefer `r_learner.r_learner` where it is large
    beside the effects.

    Args:
        slates: The rounds.
        covariance: E[(z - p)(z - p)'] under the design, shape (k, k), or (n, k, k) by round.

    Returns:
        Effects with row mean zero, for the level of a row cannot be told from a constant reward.
    """
    return doubly_robust_slate(slates, covariance, np.zeros(_shape(slates)))


def doubly_robust_slate(slates: Slates, covariance: Array, model: Array) -> Effects:
    """A model's effects, corrected by `pseudo_inverse_slate` of what it leaves unexplained.

        phi = model + mean of G_t^+ z_t (y_t - model z_t)

    Unbiased if the design is known right, however wrong the model, and if the model is right,
    however wrong the design; the closer the model, the less noise. Adding a constant to a row of
    the model is predicting a constant reward: give it the level of the rewards.

    Args:
        slates: The rounds.
        covariance: E[(z - p)(z - p)'] under the design, shape (k, k), or (n, k, k) by round.
        model: Predicted effects, shape (m, k): row = domain evaluated, column = trained on.

    Returns:
        Effects with row mean zero, and standard errors of the mean over the rounds in which the
        row was measured, taken as independent; infinite where those are fewer than two. In rounds
        drawn as opposite pairs the level of the rewards cancels, but still counts as noise.
    """
    if model.shape != _shape(slates):
        raise ValueError(f"model must have shape {_shape(slates)}, got {model.shape}")
    inverse = np.linalg.pinv(_second_moment(slates, covariance), RANK_TOLERANCE, hermitian=True)
    loading = (inverse @ slates.shares[:, :, None])[:, :, 0]
    loading = loading - loading.mean(axis=1, keepdims=True)
    predicted = slates.shares @ model.T
    terms = np.subtract(
        slates.rewards, predicted, out=np.zeros_like(predicted), where=slates.measured
    ).T
    number = slates.measured.sum(axis=0)[:, None]
    mean = terms @ loading / np.maximum(number, 1)
    scatter = terms**2 @ loading**2 - number * mean**2
    error = np.full_like(mean, np.inf)
    squared_error = np.maximum(scatter, 0.0) / np.maximum(number * (number - 1), 1)
    np.sqrt(squared_error, out=error, where=np.broadcast_to(number > 1, mean.shape))
    return Effects(model - model.mean(axis=1, keepdims=True) + mean, error)


def _shape(slates: Slates) -> tuple[int, int]:
    return slates.rewards.shape[1], slates.shares.shape[1]


def _second_moment(slates: Slates, covariance: Array) -> Array:
    """E[z z'] by round, shape (n, k, k), or (1, k, k) where all rounds share it."""
    number, domains = slates.shares.shape
    if covariance.shape not in ((number, domains, domains), (domains, domains)):
        raise ValueError(
            f"covariance must have shape ({domains}, {domains}) or ({number}, {domains}, "
            f"{domains}), got {covariance.shape}"
        )
    expected = np.atleast_2d(slates.expected)
    moment: Array = covariance + expected[:, :, None] * expected[:, None, :]
    return moment
