"""Learning curves: a loss as a falling power of the tokens read, fitted to what was measured."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.signals import Array

POINTS = 64
FEWEST_POINTS = 4
EXPONENTS = np.geomspace(0.05, 1.5, 69)
BLOCK = 2**19  # Numbers looked at together: many exponents of few domains, or few of many.


class History(NamedTuple):
    """Measured points of each domain's curve, thinned so that they cover the run evenly.

    Points are left out and not averaged as in `policies.published.loss_history`: held-out losses
    have little noise to average away, and the mean of several points lies above a curve that bends.

    Attributes:
        tokens: Tokens read of each domain, shape (POINTS, k); NaN where nothing was measured.
        loss: Its loss then, shape (POINTS, k); NaN where it was not measured.
        rows: Rows in use.
        stride: Every how many measurements one is kept.
        measurements: Measurements there were.
    """

    tokens: Array
    loss: Array
    rows: int
    stride: int
    measurements: int


class Curves(NamedTuple):
    """The loss of each domain after n tokens, ``floor + scale * n ** -exponent``; shapes (k,).

    Attributes:
        floor: The loss that no amount of tokens goes below.
        scale: Zero where no fall was seen.
        exponent: From the grid `EXPONENTS`.
        fitted: Which domains had points enough of their own.
    """

    floor: Array
    scale: Array
    exponent: Array
    fitted: NDArray[np.bool_]


def no_history(num_domains: int) -> History:
    """The history before the first measurement."""
    nothing = np.full((POINTS, num_domains), np.nan)
    return History(nothing, nothing, 0, 1, 0)


def remember(history: History, tokens: Array, loss: Array) -> History:
    """The history with one more measurement, both of shape (k,); NaN where there is no loss.

    When all rows are in use every second one is dropped, and from then on every second measurement.
    """
    kept = history._replace(measurements=history.measurements + 1)
    if history.measurements % history.stride:
        return kept
    if history.rows == POINTS:
        half = POINTS // 2
        empty = np.full((POINTS - half, len(loss)), np.nan)
        history = history._replace(
            tokens=np.concatenate([history.tokens[::2], empty]),
            loss=np.concatenate([history.loss[::2], empty]),
            rows=half,
            stride=2 * history.stride,
        )
    use = np.isfinite(tokens) & (tokens > 0) & np.isfinite(loss)
    row = np.arange(POINTS)[:, None] == history.rows
    return kept._replace(
        tokens=np.where(row, np.where(use, tokens, np.nan), history.tokens),
        loss=np.where(row, np.where(use, loss, np.nan), history.loss),
        rows=history.rows + 1,
        stride=history.stride,
    )


def fit_curves(tokens: Array, loss: Array) -> Curves | None:
    """Least-squares power laws through each domain's points, with floor and scale not negative.

    For each exponent of a grid the best floor and scale have a closed form; the exponent with the
    least squared error wins. A domain with fewer than four different numbers of tokens gets the
    medians of the others.

    Args:
        tokens: Positive, shape (points, k); NaN where there is no point.
        loss: Shape (points, k); NaN where there is no point.

    Returns:
        The curves, or None where no domain has points enough.
    """
    use = np.isfinite(tokens) & np.isfinite(loss)
    ordered = np.sort(np.where(use, tokens, np.inf), axis=0)
    new = np.isfinite(ordered[1:]) & (ordered[1:] > ordered[:-1])
    fitted = use.any(axis=0) & (1 + new.sum(axis=0) >= FEWEST_POINTS)
    if not fitted.any():
        return None
    # In units of each domain's largest number of tokens, so that powers keep their size.
    unit = np.where(use, tokens, 0.0).max(axis=0)
    logarithm = np.log(np.where(use, tokens / np.where(unit > 0, unit, 1.0), 1.0))
    target = np.where(use, loss, 0.0)
    best = np.full(len(unit), np.inf)
    floor, scale, exponent = np.zeros((3, len(unit)))
    for candidates in np.array_split(
        EXPONENTS, min(-(-use.size * len(EXPONENTS) // BLOCK), len(EXPONENTS))
    ):
        power = np.exp(-candidates[:, None, None] * logarithm) * use
        floors, scales = _nonnegative_line(power, target, use)
        fall = (floors[:, None] + scales[:, None] * power - target) * use
        error = (fall**2).sum(axis=1)
        least = error.argmin(axis=0)[None]
        better = np.take_along_axis(error, least, 0)[0] < best
        best = np.where(better, np.take_along_axis(error, least, 0)[0], best)
        floor = np.where(better, np.take_along_axis(floors, least, 0)[0], floor)
        scale = np.where(better, np.take_along_axis(scales, least, 0)[0], scale)
        exponent = np.where(better, candidates[least[0]], exponent)
    fields = [
        np.where(fitted, values, np.median(values[fitted])) for values in (floor, scale, exponent)
    ]
    unit = np.where(fitted, unit, np.median(unit[fitted]))
    return Curves(fields[0], fields[1] * unit ** fields[2], fields[2], fitted)


def _nonnegative_line(power: Array, target: Array, use: NDArray[np.bool_]) -> tuple[Array, Array]:
    """Least-squares floor and scale of ``floor + scale * power``, neither negative.

    Args:
        power: Zero where there is no point, shape (exponents, points, k).
        target: Zero where there is no point, shape (points, k).
        use: Where there are points, shape (points, k).

    Returns:
        Floors and scales, both of shape (exponents, k).
    """
    number = np.maximum(use.sum(axis=0), 1)
    mean_power, mean_target = power.sum(axis=1) / number, target.sum(axis=0) / number
    centred = (power - mean_power[:, None]) * use
    variance = (centred**2).sum(axis=1)
    safe = np.where(variance > 0, variance, 1.0)
    scale = np.maximum((centred * target).sum(axis=1) / safe, 0.0)
    floor = mean_target - scale * mean_power
    squares = (power**2).sum(axis=1)
    through_zero = (power * target).sum(axis=1) / np.where(squares > 0, squares, 1.0)
    below = floor < 0
    return np.where(below, 0.0, floor), np.where(below, through_zero, scale)
