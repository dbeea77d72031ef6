"""Which language helps which: the estimate that pairs of blocks add up to."""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from policies.estimators.effects import EffectMoments, Effects, effects
from policies.minimax.groups import Groups
from policies.repetition import SINGLE_SOURCE_DECAY, effective_epochs, marginal_value
from policies.signals import Array, GradientSketches

# A gradient with larger entries is a fault, and its products would overflow.
MAX_GRADIENT = 1e30

DirectModel: TypeAlias = Literal["own", "gradients", "none"]


def estimate(
    moments: EffectMoments,
    groups: Groups,
    epochs: Array,
    alignment: Array,
    model: DirectModel,
    prior_pairs: float,
) -> Effects:
    """Doubly robust effects of moving share from the prior mixture to each group, (k, g).

    Args:
        moments: What pairs told so far.
        groups: The g groups of the k domains.
        epochs: How often each domain has been read, shape (k,).
        alignment: Inner products of gradients, for the model of that name, shape (k, g).
        model: The direct estimate.
        prior_pairs: How many pairs the model is worth.
    """
    direct = {
        "own": lambda: own_effects(moments, groups, epochs),
        "gradients": lambda: scaled(alignment, moments),
        "none": lambda: np.zeros_like(alignment),
    }[model]()
    # What a mean pair tells, as if it moved every share in proportion.
    pair = float(np.trace(moments.design)) / max(moments.weight, 1e-300)
    ridge = prior_pairs * pair * groups.prior**2 / float((groups.prior**2).sum())
    return effects(moments, direct, ridge=ridge, reference=groups.prior)


def own_effects(moments: EffectMoments, groups: Groups, epochs: Array) -> Array:
    """Every language helped by its own group alone, (k, g).

    A percent more of what a language has read helps all languages alike, as far as its text is
    new; what a repeat is still worth is assumed. So an effect per share is ``slope freshness /
    share``; the one slope is that of least squares over all languages, and not negative.

    Args:
        moments: What pairs told so far.
        groups: The g groups of the k domains.
        epochs: How often each domain has been read, shape (k,).
    """
    language = np.arange(len(groups.group))
    read = np.maximum(epochs, 1.0)
    fresh = read * marginal_value(read, SINGLE_SOURCE_DECAY)
    fresh = fresh / effective_epochs(read, SINGLE_SOURCE_DECAY)
    shape = fresh / groups.prior[groups.group]
    measured = moments.rounds > 0
    own = float((shape * moments.cross[language, groups.group]).sum())
    square = float((shape**2 * np.diag(moments.design)[groups.group] * measured).sum())
    direct = np.zeros_like(moments.cross)
    direct[language, groups.group] = max(own / max(square, 1e-300), 0.0) * shape
    return direct


def scaled(alignment: Array, moments: EffectMoments) -> Array:
    """The alignment times the one factor, not negative, that fits the moments best, (k, g)."""
    size = float(np.abs(alignment).max(initial=0.0))
    if size == 0:
        return alignment
    shape = alignment / size
    fitted = shape @ moments.design
    factor = float((shape * moments.cross).sum()) / max(float((fitted * shape).sum()), 1e-300)
    return max(factor, 0.0) * shape


def aligned(
    sketches: GradientSketches | None,
    order: NDArray[np.int64],
    groups: Groups,
    earlier: Array,
) -> Array:
    """Inner products of validation and group training gradients, where they can be used, (k, g).

    A group's gradient is the mean of its domains' by their share; what cannot be measured keeps its
    earlier value, shape (k, g). ``order`` tells which domain each row of the result is, (k,).
    """
    if sketches is None:
        return earlier
    sketches = GradientSketches(sketches.train[order], sketches.validation[order])
    usable = np.abs(sketches.train).max(axis=1) < MAX_GRADIENT
    weight = groups.within * usable
    train = np.zeros((len(groups.prior), sketches.train.shape[1]))
    rows = np.where(usable[:, None], sketches.train, 0.0)
    np.add.at(train, groups.group, weight[:, None] * rows)
    mass = groups.gather(weight)
    seen = np.abs(sketches.validation).max(axis=1) < MAX_GRADIENT
    validation = np.where(seen[:, None], sketches.validation, 0.0)
    products = validation @ (train / np.maximum(mass, 1e-300)[:, None]).T
    return np.where(seen[:, None] & (mass > 0), products, earlier)
