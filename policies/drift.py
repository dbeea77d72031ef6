"""What a reward owes to time passing alone."""

from __future__ import annotations

import numpy as np

from policies.signals import Array


def drift(mean: Array, elapsed: Array, number: Array) -> Array:
    """The part of each domain's mean reward that comes of time passing alone, shape (k,).

    It is ``slope * (elapsed - mean elapsed)``. The slope is that of the regression of rewards on
    elapsed steps over domains, each weighted by its rewarded sequences, and kept between zero and
    the mean reward per elapsed step: time alone explains at most all there is. Without that bound
    two domains, through which a line always passes, could never be told apart.

    Args:
        mean: Mean reward of each domain, shape (k,).
        elapsed: Mean number of steps from the baseline to a rewarded sequence, shape (k,).
        number: Rewarded sequences of each domain, shape (k,).
    """
    total = float(number.sum())
    if total <= 0:
        return np.zeros_like(mean)
    mean_reward = float(number.dot(mean)) / total
    mean_elapsed = float(number.dot(elapsed)) / total
    centred = elapsed - mean_elapsed
    squares = float(number.dot(centred * centred))
    if squares <= 0 or mean_elapsed <= 0:
        return np.zeros_like(mean)
    slope = float(number.dot(centred * (mean - mean_reward))) / squares
    all_of_it = mean_reward / mean_elapsed
    return min(max(slope, min(all_of_it, 0.0)), max(all_of_it, 0.0)) * centred
