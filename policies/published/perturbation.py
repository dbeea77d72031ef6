"""What training on perturbed mixtures, one for each domain, tells of transfer between domains.

All matrices of transfer have the domain evaluated as their row and the domain trained on as their
column.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from policies.signals import Array

# Perturbed mixtures that differ by less, relative to their size, are taken for the same.
RESOLUTION = 1e-6


class Sweeps(NamedTuple):
    """What has been measured in the intervals so far, each trained on one perturbed mixture.

    Attributes:
        reference: Loss of each domain before the present interval, shape (k,); NaN if unknown.
        share: Sum of the realised shares over the present interval's steps so far, shape (k,).
        drop: Sum of the drops of the loss of domain i in the intervals for domain j, (k, k).
        number: How many drops that sum has, (k, k).
        shares: Row j is the sum over the steps of the intervals for domain j of the realised
            shares of all domains, (k, k).
    """

    reference: Array
    share: Array
    drop: Array
    number: Array
    shares: Array


def begin(reference: Array) -> Sweeps:
    """Before the first interval, with the losses that it starts from, shape (k,)."""
    size = len(reference)
    empty = np.zeros((size, size))
    return Sweeps(reference, np.zeros(size), empty, empty, empty)


def end_interval(sweeps: Sweeps, domain: int, loss: Array) -> Sweeps:
    """After an interval for this domain, with the losses that it led to, shape (k,).

    A drop that lacks its loss before or after is not counted: the loss of an earlier interval in
    its place would credit this one with what another did.
    """
    drop = sweeps.reference - loss
    known = np.isfinite(drop)
    drops, number, shares = sweeps.drop.copy(), sweeps.number.copy(), sweeps.shares.copy()
    drops[known, domain] += drop[known]
    number[known, domain] += 1
    shares[domain] += sweeps.share
    return Sweeps(loss, np.zeros(len(loss)), drops, number, shares)


def perturbed(domain: int, num_domains: int, focus: float) -> Array:
    """The mixture with the share ``focus`` for one domain, the others alike, shape (k,)."""
    if num_domains == 1:
        return np.ones(1)
    mixture = np.full(num_domains, (1 - focus) / (num_domains - 1))
    mixture[domain] = focus
    return mixture


def intended_mixtures(num_domains: int, focus: float) -> Array:
    """The perturbed mixtures as they were meant, row j the one for domain j, shape (k, k)."""
    return np.array([perturbed(domain, num_domains, focus) for domain in range(num_domains)])


def realised_mixtures(sweeps: Sweeps) -> Array:
    """The perturbed mixtures as they were drawn, row j those for domain j, shape (k, k)."""
    mixtures: Array = sweeps.shares / sweeps.shares.sum(axis=1, keepdims=True)
    return mixtures


def unmix(drop: Array, mixtures: Array) -> Array:
    """The matrix A of shape (k, k) with ``drop[i, j] = sum_l mixtures[j, l] A[i, l]``.

    Mixtures that do not differ enough to tell domains apart give the smallest such A.
    """
    solution = np.linalg.lstsq(mixtures, drop.T, rcond=RESOLUTION)[0]
    return solution.T.astype(np.float64)


def own_effects(drop: Array, mixtures: Array) -> Array:
    """What ``unmix`` would find, shape (k, k), if no domain had an effect on another."""
    return np.diag(np.diag(drop) / np.maximum(np.diag(mixtures), RESOLUTION))


def without_row_means(matrix: Array) -> Array:
    """The matrix less the mean of each row: what is the same for all columns is gone, (k, k)."""
    centred: Array = matrix - matrix.mean(axis=1, keepdims=True)
    return centred


def scaled_to_sum_one(transfer: Array) -> Array:
    """Shifted up to be non-negative, only if it is not, then divided by the sum of all entries.

    Where all entries are the same after the shift, and so nothing is to be preferred, all are zero.
    """
    shifted = transfer - min(float(transfer.min()), 0.0)
    total = float(shifted.sum())
    return shifted / total if total > 0 else np.zeros_like(shifted)


def scaled_to_mean_entry(transfer: Array) -> Array:
    """Divided by k times the mean absolute entry, (k, k); zero if all is zero."""
    size = len(transfer) * float(np.abs(transfer).mean())
    return transfer / size if size > 0 else np.zeros_like(transfer)
