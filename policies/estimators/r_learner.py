"""Effects of shares by regressing residuals on residuals."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from policies.estimators.effects import Effects, effects, moments_of
from policies.estimators.slates import Slates
from policies.signals import Array


def r_learner(
    slates: Slates,
    *,
    context: Array | None = None,
    outcome_mean: Array | None = None,
    folds: int = 1,
    model: Array | None = None,
    ridge: float = 0.0,
) -> Effects:
    """Regression of rewards less their mean on shares less theirs (`effects.effects`).

    Whatever all shares have in common, such as the schedule of the learning rate, belongs to the
    mean of the rewards, so that only differences between domains are estimated: Robinson (1988,
    Econometrica 56), with cross-fitting the R-learner of Nie and Wager (2021, arXiv 1712.04912).
    Since the mean of the shares is known, a wrong mean of the rewards costs precision, not
    correctness. A constant added to all rewards changes nothing.

    Args:
        slates: The rounds.
        context: What the mean of the rewards depends on beside a constant, linearly, shape (n, q):
            the time, the learning rate.
        outcome_mean: The mean itself, shape (n, m), where it is known; then no context.
        folds: 1 fits the mean on all rounds, to rewards and shares alike, as Robinson did; more fit
            the mean of every folds-th round on the others, so that no round enters its own mean.
        model: Effects to start from, shape (m, k); see `effects.effects`.
        ridge: Weight of the model; see `effects.effects`.
    """
    number, outcomes = slates.rewards.shape
    if outcome_mean is not None and (context is not None or folds != 1):
        raise ValueError("outcome_mean must come without context and folds, which estimate it")
    if outcome_mean is not None and outcome_mean.shape != (number, outcomes):
        raise ValueError(
            f"outcome_mean must have shape ({number}, {outcomes}), got {outcome_mean.shape}"
        )
    if context is not None and (context.ndim != 2 or len(context) != number):
        raise ValueError(f"context must have shape ({number}, q), got {context.shape}")
    if not 1 <= folds <= max(number, 1):
        raise ValueError(f"folds must be in [1, {number}], the number of rounds, got {folds}")
    deviation, spent = slates.deviation, 0
    if outcome_mean is None:
        columns = np.ones((number, 1))
        if context is not None:
            columns = np.column_stack([columns, context])
        outcome_mean = _fitted_mean(slates.rewards, slates.measured, columns, folds)
        if folds == 1:
            # What the mean takes of the effects, the deviations must lose too.
            deviation = deviation - _fitted_mean(deviation, np.isfinite(deviation), columns, folds)
            spent = columns.shape[1]
    found = effects(moments_of(deviation, slates.rewards - outcome_mean), model, ridge)
    if spent >= number:
        return found._replace(standard_error=np.full_like(found.value, np.inf))
    # Residuals of a mean fitted to the same rounds are too small by what the fit took.
    taken = np.sqrt(number / (number - spent))
    return found._replace(standard_error=taken * found.standard_error)


def _fitted_mean(rewards: Array, measured: NDArray[np.bool_], columns: Array, folds: int) -> Array:
    """Least-squares prediction of each reward, shape (n, m), from rounds of other folds.

    NaN where those rounds measured nothing.
    """
    mean = np.full_like(rewards, np.nan)
    fold = np.arange(len(rewards)) % folds
    for this in range(folds):
        held_out = fold == this
        for outcome, reward in enumerate(rewards.T):
            use = measured[:, outcome] & ~held_out if folds > 1 else measured[:, outcome]
            if use.any():
                slope = np.linalg.lstsq(columns[use], reward[use], rcond=None)[0]
                mean[held_out, outcome] = columns[held_out] @ slope
    return mean
