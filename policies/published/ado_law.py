"""Power laws of loss against examples, fitted to many domains at once."""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from policies.signals import Array

# Where the Huber loss of a log residual turns from quadratic to linear.
DELTA = 1e-3
EXPONENTS = np.arange(8) / 10
# Where to start: irreducible losses as parts of the lowest loss.
FLOORS = np.array([0.2, 0.5, 0.8, 0.9, 0.95, 0.99])
STARTS = 6
FINALISTS = 2
# Steps after which it is seen whether a fit still moves, and how often that is asked.
ROUND = 10
MAX_ROUNDS = 10
# A round that takes less off an objective than this, and than this part of it, is the last.
RESOLUTION = 1e-9
RELATIVE_RESOLUTION = 1e-4
# Numbers in one array while starting points are compared: few enough for a processor's cache.
CHUNK = 400_000


class Points(NamedTuple):
    """What laws are fitted to; d domains, p points.

    Attributes:
        log_examples: Shape (d, p).
        log_loss: Shape (d, p).
        use: One where there is a point, zero where there is none, shape (d, p).
    """

    log_examples: Array
    log_loss: Array
    use: Array


class Limits(NamedTuple):
    """Where soft priors begin to pull a parameter back with a force of one, shapes (d, 3)."""

    low: Array
    high: Array


_Rows = TypeVar("_Rows", Points, Limits)


def log_forecast(law: Array, log_examples: Array) -> Array:
    """Logarithm of the loss under each law.

    Args:
        law: Rows (a, e, alpha) of ``L(n) = exp(e) + exp(a) n ** -alpha``, shape (..., 3).
        log_examples: ln n, of a shape that fits ``law[..., 0]``.
    """
    forecast: Array = np.logaddexp(law[..., 0] - law[..., 2] * log_examples, law[..., 1])
    return forecast


def objective(law: Array, points: Points, limits: Limits) -> Array:
    """What a fit minimises, shape (d, s) for laws of shape (d, s, 3).

    The Huber loss of the log residuals, summed over points, and what parameters exceed their limits
    by.
    """
    residual, _ = _residuals(law, points)
    return _total(law, residual, points, limits)


def fit(points: Points, limits: Limits) -> Array:
    """The law of each domain, shape (d, 3).

    The best few of 48 starting points are followed downhill, the best two of them to the end, and
    the better end is kept: the objective has several minima. Domains do not affect each other.
    """
    num_domains, num_points = points.log_loss.shape
    size = max(1, CHUNK // (len(EXPONENTS) * len(FLOORS) * max(num_points, 1)))
    laws = np.zeros((num_domains, 3))
    for first in range(0, num_domains, size):
        part = slice(first, first + size)
        laws[part] = _minimise(_part(points, part), _part(limits, part))
    return laws


def _minimise(points: Points, limits: Limits) -> Array:
    """The best law of each domain, shape (d, 3)."""
    law, value = _descend(_starts(points, limits), points, limits, ROUND)
    law = _best(law, value, FINALISTS)
    value = np.full(law.shape[:2], np.inf)
    active = np.arange(len(law))
    for _ in range(MAX_ROUNDS):
        here, bounds = _part(points, active), _part(limits, active)
        law[active], reached = _descend(law[active], here, bounds, ROUND)
        least = RESOLUTION + RELATIVE_RESOLUTION * reached
        moving = (value[active] - reached > least).any(axis=1)
        value[active] = reached
        active = active[moving]
        if not active.size:
            break
    return _best(law, value, 1)[:, 0]


def _part(rows: _Rows, part: slice | NDArray[np.int64]) -> _Rows:
    """Some of the domains."""
    return type(rows)(*(values[part] for values in rows))


def _starts(points: Points, limits: Limits) -> Array:
    """Starting points, shape (d, STARTS, 3): a grid in alpha and e, with the a that fits."""
    lowest = np.where(points.use > 0, points.log_loss, np.inf).min(axis=1, initial=50.0)
    alpha, floor = (values.ravel() for values in np.meshgrid(EXPONENTS, FLOORS))
    e = np.clip(lowest[:, None] + np.log(floor), limits.low[:, 1:2], limits.high[:, 1:2])
    above = -np.expm1(np.minimum(e[:, :, None] - points.log_loss[:, None], np.log(0.999)))
    log_scale = points.log_loss[:, None] + np.log(above)
    log_scale = log_scale + alpha[:, None] * points.log_examples[:, None]
    number = np.maximum(points.use.sum(axis=1), 1)
    a = (log_scale * points.use[:, None]).sum(axis=2) / number[:, None]
    law = np.stack([a, e, np.broadcast_to(alpha, a.shape)], axis=2)
    return _best(law, objective(law, points, limits), STARTS)


def _best(law: Array, value: Array, number: int) -> Array:
    """The laws with the lowest values, shape (d, number, 3)."""
    order = np.argsort(value, axis=1, kind="stable")[:, :number]
    best: Array = np.take_along_axis(law, order[:, :, None], axis=1)
    return best


def _descend(law: Array, points: Points, limits: Limits, steps: int) -> tuple[Array, Array]:
    """Laws (d, s, 3) moved some steps towards a minimum near by, and their objectives (d, s).

    Levenberg and Marquardt's method on the quadratics that touch the Huber loss from above. A
    parameter that meets its limit stops there, and leaves it only where the slope of the points
    outweighs the kink.
    """
    residual, reducible = _residuals(law, points)
    value = _total(law, residual, points, limits)
    damping = np.full(value.shape, 1e-2)
    low, high = (np.broadcast_to(bound[:, None], law.shape) for bound in limits)
    for _ in range(steps):
        gradient, curvature = _quadratic(residual, reducible, points)
        gradient = _slope(gradient, law, low, high)
        step = _damped_step(gradient, curvature, damping)
        trial = _stop_at_limits(law, law + step, gradient, low, high)
        new_residual, new_reducible = _residuals(trial, points)
        reached = _total(trial, new_residual, points, limits)
        better = reached < value
        value = np.where(better, reached, value)
        damping = np.where(better, damping * 0.2, damping * 5)
        better = better[:, :, None]
        law = np.where(better, trial, law)
        residual = np.where(better, new_residual, residual)
        reducible = np.where(better, new_reducible, reducible)
    return law, value


def _residuals(law: Array, points: Points) -> tuple[Array, Array]:
    """Log residuals, and the reducible part of each forecast; both of shape (d, s, p)."""
    a, e, alpha = (law[:, :, [number]] for number in range(3))
    odds = (a - e) - alpha * points.log_examples[:, None]
    shrunk = np.exp(-np.abs(odds))
    whole = 1 + shrunk
    residual = (points.log_loss[:, None] - e) - np.maximum(odds, 0) - np.log(whole)
    return residual, np.where(odds > 0, 1.0, shrunk) / whole


def _total(law: Array, residual: Array, points: Points, limits: Limits) -> Array:
    """The objective of laws with these residuals, shape (d, s)."""
    size = np.abs(residual)
    inner = np.minimum(size, DELTA)
    huber = inner * (size - inner / 2)
    excess = np.maximum(law - limits.high[:, None], 0) + np.maximum(limits.low[:, None] - law, 0)
    total: Array = (huber * points.use[:, None]).sum(axis=2) + excess.sum(axis=2)
    return total


def _quadratic(residual: Array, reducible: Array, points: Points) -> tuple[Array, Array]:
    """Gradient (d, s, 3) of the points' part and curvature (d, s, 3, 3) of its majorant."""
    weight = points.use[:, None] * DELTA / np.maximum(np.abs(residual), DELTA)
    slopes = np.stack([-reducible, reducible - 1, reducible * points.log_examples[:, None]], axis=2)
    weighted = weight[:, :, None] * slopes
    gradient: Array = (weighted @ residual[..., None])[..., 0]
    curvature: Array = weighted @ slopes.swapaxes(2, 3)
    return gradient, curvature


def _slope(gradient: Array, law: Array, low: Array, high: Array) -> Array:
    """The gradient with the limits' pull; zero where a kink holds a parameter."""
    right = gradient + (law >= high) - (law < low)
    left = gradient + (law > high) - (law <= low)
    slope: Array = np.where(right < 0, right, np.maximum(left, 0))
    return slope


def _damped_step(gradient: Array, curvature: Array, damping: Array) -> Array:
    """Step of the parameters that are free to move; the others stay."""
    free = gradient != 0
    matrix = np.where(free[..., None] & free[..., None, :], curvature, 0.0)
    diagonal = np.arange(3)
    own = matrix[..., diagonal, diagonal]
    matrix[..., diagonal, diagonal] = np.where(free, own * (1 + damping[..., None]) + 1e-12, 1.0)
    step: Array = np.asarray(np.linalg.solve(matrix, -gradient[..., None])[..., 0], np.float64)
    return step


def _stop_at_limits(law: Array, trial: Array, gradient: Array, low: Array, high: Array) -> Array:
    """The trial, cut off where a parameter meets the next limit on its way."""
    below = (law < low) | ((law == low) & (gradient > 0))
    above = (law > high) | ((law == high) & (gradient < 0))
    least = np.where(below, -np.inf, np.where(above, high, low))
    most = np.where(below, low, np.where(above, np.inf, high))
    return np.clip(trial, least, most)


def usable(law: Array) -> NDArray[np.bool_]:
    """Which laws are finite, shape (d,)."""
    finite: NDArray[np.bool_] = np.asarray(np.isfinite(law).all(axis=-1))
    return finite
