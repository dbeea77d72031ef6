"""How many samples to take of each part of a whole, so that their mean is most certain."""

from __future__ import annotations

import numpy as np

from policies.signals import Array


def neyman(deviation: Array, cost: Array | float = 1.0, weight: Array | float = 1.0) -> Array:
    """Neyman's allocation: the shares of samples ``n_j ~ weight_j deviation_j / sqrt(cost_j)``.

    Estimating ``sum_j weight_j mean_j`` from n_j samples of each part has the variance
    ``sum_j weight_j^2 deviation_j^2 / n_j``; of all n with the same ``sum_j cost_j n_j`` these make
    it smallest (Neyman 1934; with costs Cochran 1977, section 5.5).

    Args:
        deviation: Standard deviation of one sample of each part, finite, not negative, shape (k,).
        cost: What one sample costs, positive, shape (k,) or the same for all.
        weight: How much each part's mean counts, not negative, shape (k,) or the same for all.

    Returns:
        The shares, which sum to one, shape (k,). Where nothing deviates, every allocation is as
        good, and the weights themselves come back, scaled.
    """
    weights = np.broadcast_to(weight, deviation.shape).astype(np.float64)
    largest = float(deviation.max())
    # Scaled to at most one each, so that no product overflows.
    shares = weights * (deviation / largest) / np.sqrt(cost) if largest > 0 else weights
    total = float(shares.sum())
    return shares / total if total > 0 else weights / float(weights.sum())
