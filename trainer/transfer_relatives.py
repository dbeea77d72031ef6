"""Whether languages that have something in common help each other more than others do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from policies import Array
from trainer.transfer_effects import Transfer

PERMUTATIONS = 9999


class Relatives(NamedTuple):
    """How effects between relatives compare with those between others.

    Attributes:
        difference: Mean effect between relatives less the mean between others, in standard
            deviations of a row; NaN if there is nothing to compare.
        p_value: Part of the ways to hand out the groups that give at least this difference.
        pairs: Ordered pairs of relatives.
        left_out: Languages whose group is not known.
    """

    difference: float
    p_value: float
    pairs: int
    left_out: tuple[str, ...]


def compare_relatives(transfer: Transfer, groups: Mapping[str, str], seed: int = 0) -> Relatives:
    """A permutation test of relatives helping each other more, as Mantel's of two matrices.

    Effects of a row are known up to a constant, and rows differ in scale: each is taken in
    standard deviations from its mean, its own text left aside. Then the groups are handed out anew
    to the languages, which keeps what rows and columns have in common: a language that helps
    everybody is no evidence. The test is one-sided.

    Args:
        transfer: The effects.
        groups: What languages have in common, by name: a family, say, or a script.
        seed: Of the permutations.
    """
    known = [place for place, name in enumerate(transfer.names) if name in groups]
    left_out = tuple(name for name in transfer.names if name not in groups)
    labels = np.array([groups[transfer.names[place]] for place in known])
    size = len(known)
    other = ~np.eye(size, dtype=bool)
    related = (labels[:, None] == labels) & other
    pairs = int(related.sum())
    if pairs in (0, size * (size - 1)):
        return Relatives(float("nan"), float("nan"), pairs, left_out)
    effect = _standardised(transfer.value[np.ix_(known, known)])
    orders = np.random.default_rng(seed).permuted(
        np.tile(np.arange(size), (PERMUTATIONS, 1)), axis=1
    )
    permuted = related[orders[:, :, None], orders[:, None, :]]
    # All sums over relatives: what is left of the sum over pairs belongs to the others.
    sums = np.concatenate([[(effect * related).sum()], (effect * permuted).sum(axis=(1, 2))])
    total, rest = float(effect.sum()), size * (size - 1) - pairs
    differences = sums / pairs - (total - sums) / rest
    # Equal ones, the observed itself among them, count whichever way they were rounded.
    p_value = float((differences >= differences[0] - 1e-9).mean())
    return Relatives(float(differences[0]), p_value, pairs, left_out)


def _standardised(value: Array) -> Array:
    """Rows less their mean, over their standard deviation, without the diagonal, which is zero."""
    other = ~np.eye(len(value), dtype=bool)
    rows = np.where(other, value, np.nan)
    centred = rows - np.nanmean(rows, axis=1, keepdims=True)
    spread = np.nanstd(rows, axis=1, keepdims=True)
    return np.where(other, centred / np.where(spread > 0, spread, 1.0), 0.0)
