"""What a policy's mixture is the optimum of, so that the best feasible one can be found, too."""

from __future__ import annotations

from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

import numpy as np

from policies.minimax.game import Game, divergence, regrets, worst_case
from policies.signals import Array
from policies.simplex import softmax


@runtime_checkable
class SmoothGoal(Protocol):
    """A convex function of the mixture, the lower the better, as data: a NamedTuple of arrays.

    Any class with these members will do; the value may be infinite where a share is zero.
    """

    @property
    def unit(self) -> str:
        """The unit of the value, for people."""

    def value(self, weights: Array) -> float:
        """What the mixture comes to."""

    def slope(self, weights: Array) -> Array:
        """Derivative of the value in each share, shape (k,)."""

    def curvature(self, weights: Array) -> Array:
        """Not negative, shape (k,): the diagonal of a matrix close to, or above, the Hessian.

        How close decides how soon the optimum is found, not which one.
        """

    def reach(self, weights: Array) -> Array:
        """How far each share may fall until the curvature told nothing of the slope, shape (k,).

        For a power law this is the slope over the curvature; infinite where neither changes much.
        """


class LeastVariance(NamedTuple):
    """Variance of the target's gradient, estimated from sequences drawn by the mixture.

    ``sum_j target_j^2 deviation_j^2 / p_j``, which is what Neyman's allocation makes least
    (`policies.neyman`); a batch of B sequences has a B-th of it.

    Attributes:
        target: How much each domain counts, not negative, shape (k,).
        deviation: Of one sequence's gradient, not negative, shape (k,).
    """

    target: Array
    deviation: Array

    @property
    def unit(self) -> str:
        return "squared gradient norm of one sequence"

    def value(self, weights: Array) -> float:
        check_shape(weights, self.target)
        return float(self._over(weights, 1).sum())

    def slope(self, weights: Array) -> Array:
        return -self._over(weights, 2)

    def curvature(self, weights: Array) -> Array:
        return 2 * self._over(weights, 3)

    def reach(self, weights: Array) -> Array:
        return np.where(self.target * self.deviation > 0, weights / 2, np.inf)

    def _over(self, weights: Array, power: int) -> Array:
        """Variances over a power of the shares; zero where nothing counts, shape (k,)."""
        variance = (self.target * self.deviation) ** 2
        over = np.zeros_like(variance)
        with np.errstate(divide="ignore", over="ignore"):
            np.divide(variance, weights**power, out=over, where=variance > 0)
        return over


class StepBound(NamedTuple):
    """What one step changes the loss by at most: ``sum_j p_j linear_j + p_j^2 quadratic_j / 2``.

    Attributes:
        linear: Finite, shape (k,).
        quadratic: Not negative, shape (k,).
    """

    linear: Array
    quadratic: Array

    @property
    def unit(self) -> str:
        return "bound on a step's change of the loss"

    def value(self, weights: Array) -> float:
        check_shape(weights, self.linear)
        return float(weights @ self.linear + weights**2 @ self.quadratic / 2)

    def slope(self, weights: Array) -> Array:
        slope: Array = self.linear + self.quadratic * weights
        return slope

    def curvature(self, weights: Array) -> Array:
        del weights
        return self.quadratic

    def reach(self, weights: Array) -> Array:
        return np.full_like(weights, np.inf)


class PlannedLoss(NamedTuple):
    """The loss that the rest of a run leads to if it goes on at the mixture.

    Learning curves tell each domain's loss ``L_j = floor_j + scale_j (read_j + tokens p_j) **
    -exponent_j`` at the end. Their value is ``log(sum_j target_j exp(a L_j)) / a``:
    the loss that would be as bad as these if all domains had it alike (Kolm 1976), and the weighted
    mean where a, the aversion to inequality, is zero. It falls in the sum of utilities ``(1 -
    exp(a L_j)) / a``, so that both have the same optimum.

    Attributes:
        target: How much each domain counts, summing to one, shape (k,).
        floor: Of the learning curves, shape (k,).
        scale: Likewise, not negative.
        exponent: Likewise, positive.
        read: Tokens read of each domain, positive, shape (k,).
        tokens: Tokens of the rest of the run, positive.
        inequality_aversion: Per unit of loss, not negative.
        unit: Of the losses.
    """

    target: Array
    floor: Array
    scale: Array
    exponent: Array
    read: Array
    tokens: float
    inequality_aversion: float
    unit: str

    def value(self, weights: Array) -> float:
        check_shape(weights, self.target)
        loss = self._loss(weights)
        if self.inequality_aversion == 0:
            return float(self.target @ loss)
        exponent = self.inequality_aversion * loss[self.target > 0]
        most = float(exponent.max())
        total = float(self.target[self.target > 0] @ np.exp(exponent - most))
        return (most + float(np.log(total))) / self.inequality_aversion

    def slope(self, weights: Array) -> Array:
        return self._counts(weights) * self._fall(weights)

    def curvature(self, weights: Array) -> Array:
        fall, share = self._fall(weights), self.tokens / (self.read + self.tokens * weights)
        bend = -(self.exponent + 1) * share * fall
        # The Hessian of the sum of utilities, on the value's scale: above the value's own.
        bent: Array = self._counts(weights) * (bend + self.inequality_aversion * fall**2)
        return bent

    def reach(self, weights: Array) -> Array:
        reach: Array = (self.read / self.tokens + weights) / (self.exponent + 1)
        return reach

    def _loss(self, weights: Array) -> Array:
        read = self.read + self.tokens * weights
        loss: Array = self.floor + self.scale * read**-self.exponent
        return loss

    def _fall(self, weights: Array) -> Array:
        """Derivative of each domain's loss in its share, shape (k,)."""
        read = self.read + self.tokens * weights
        fall: Array = -self.exponent * self.scale * self.tokens * read ** -(self.exponent + 1)
        return fall

    def _counts(self, weights: Array) -> Array:
        """How much each domain's loss counts at this mixture, summing to one, shape (k,)."""
        with np.errstate(divide="ignore"):
            return softmax(np.log(self.target) + self.inequality_aversion * self._loss(weights))


class WorstRegret(NamedTuple):
    """The value of a game between the mixture and an adversary: the worst regret, mostly.

    Attributes:
        game: Its shares are the domains. Its bounds say which mixtures regret is relative to; they
            do not bind the mixture that is looked for.
    """

    game: Game

    @property
    def unit(self) -> str:
        return "regret over the most to gain"

    def value(self, weights: Array) -> float:
        check_shape(weights, self.game.prior)
        regret = regrets(self.game, weights)
        worst = float(worst_case(regret, self.game.target, self.game.ambiguity) @ regret)
        return worst + self.game.inertia * divergence(weights, self.game.prior)


Goal: TypeAlias = SmoothGoal | WorstRegret
"""What a mixture is the optimum of; the lower its value, the better."""


def check_shape(weights: Array, like: Array) -> None:
    """Refuse a mixture of another number of domains than the goal has."""
    if weights.shape != like.shape:
        raise ValueError(f"weights must have shape {like.shape}, got {weights.shape}")
