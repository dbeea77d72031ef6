"""Effects of many shares on many rewards from rounds whose shares were drawn around a known mean.

The moments below are all that is kept of the rounds. They add up over rounds, sites and ranks, so
sites can send moments and keep their data.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.signals import Array

# Eigenvalues of a design with unit diagonal, and parts of a vector, that are smaller are rounding.
RANK_TOLERANCE = 1e-10
NULL_TOLERANCE = 1e-6
# A fit that leaves less than this part of the rounds does not tell the noise, nor a row that was
# measured in less than this part of them its effects.
MIN_PART = 0.01
# Squared shares whose sum is smaller have been discounted away.
NOTHING = 1e-100
# No outcome is as large, and sums of such squares stay finite.
MAX_OUTCOME = 1e100


class EffectMoments(NamedTuple):
    """What rounds with deviations v_t (k,) and outcomes u_t (m,) of weight d_t leave behind.

    Attributes:
        weight: Sum of d_t.
        design: Sum of d_t v_t v_t', shape (k, k).
        design_squared: Sum of d_t^2 v_t v_t', shape (k, k).
        cross: Sum of d_t u_t v_t', shape (m, k), over the rounds in which the row was measured.
        outcome: Sum of d_t u_t^2, shape (m,), over the rounds in which the row was measured.
        rounds: Sum of d_t, shape (m,), over the rounds in which the row was measured.
    """

    weight: float
    design: Array
    design_squared: Array
    cross: Array
    outcome: Array
    rounds: Array


class Effects(NamedTuple):
    """Effects of a unit of share, each (m, k): row = domain evaluated, column = trained on.

    Attributes:
        value: The effects; only differences within a row mean something.
        standard_error: Of ``value``; infinite where the rounds do not tell it.
    """

    value: Array
    standard_error: Array


def no_moments(num_outcomes: int, num_domains: int) -> EffectMoments:
    """The moments of no rounds, with m outcomes and k domains."""
    return EffectMoments(
        weight=0.0,
        design=np.zeros((num_domains, num_domains)),
        design_squared=np.zeros((num_domains, num_domains)),
        cross=np.zeros((num_outcomes, num_domains)),
        outcome=np.zeros(num_outcomes),
        rounds=np.zeros(num_outcomes),
    )


def moments_of(v: Array, u: Array) -> EffectMoments:
    """The moments of n rounds of weight one.

    Args:
        v: Shares less their expectation under the design, shape (n, k), finite.
        u: Outcomes less an estimate of their mean, shape (n, m). Those that are not finite, or
            absurdly large, count as not measured.
    """
    measured = np.abs(u) < MAX_OUTCOME
    known = np.where(measured, u, 0.0)
    design = v.T @ v
    return EffectMoments(
        weight=float(len(v)),
        design=design,
        design_squared=design,
        cross=known.T @ v,
        outcome=(known**2).sum(axis=0),
        rounds=measured.sum(axis=0, dtype=np.float64),
    )


def absorb(
    moments: EffectMoments, v: Array, u: Array, *, weight: float = 1.0, discount: float = 1.0
) -> EffectMoments:
    """The moments with one more round.

    Args:
        moments: Moments of the rounds before.
        v: The round's deviations, shape (k,); see `moments_of`.
        u: Its outcomes, shape (m,).
        weight: How much the round counts, not negative.
        discount: What the round leaves of the weight of the rounds before, in [0, 1].
    """
    return merge(moments, moments_of(v[None], u[None]), weights=(discount, weight))


def merge(
    a: EffectMoments, b: EffectMoments, *, weights: tuple[float, float] = (1.0, 1.0)
) -> EffectMoments:
    """The moments of both sites' rounds, as if the rounds had been pooled.

    Args:
        a: Moments of one site.
        b: Moments of another.
        weights: What a round of each counts; not negative.
    """
    of_a, of_b = weights
    return EffectMoments(
        weight=float(of_a * a.weight + of_b * b.weight),
        design=of_a * a.design + of_b * b.design,
        design_squared=of_a**2 * a.design_squared + of_b**2 * b.design_squared,
        cross=of_a * a.cross + of_b * b.cross,
        outcome=of_a * a.outcome + of_b * b.outcome,
        rounds=of_a * a.rounds + of_b * b.rounds,
    )


def effects(
    moments: EffectMoments,
    model: Array | None = None,
    ridge: float | Array = 0.0,
    *,
    reference: Array | None = None,
) -> Effects:
    """Doubly robust effects: a model's, corrected by what the rounds say against it.

        A = model + (cross - model design) (design + ridge)^+

    With randomised shares this converges to the truth whatever the model, and with a right model
    whatever the design: its correction then is noise around zero. Without ridge the model matters
    only where the design has not varied the shares; the larger the ridge, the longer it is trusted.
    It is the residual-on-residual regression of the R-learner (Robinson 1988; Nie and Wager 2021,
    arXiv 1712.04912) if u are outcomes less their mean.

    Shares sum to one, so a constant added to a row of A changes nothing that can be observed. The
    rows returned have mean zero, by the reference, over the columns whose shares varied: an entry
    is what a unit of share does that is taken from the reference mixture.

    The standard error of entry i, j is that of the difference from that mean, by the sandwich

        se^2 = s_i^2 c_j' H (design_squared + ridge) H c_j,   H = (design + ridge)^+,

    where c_j takes the difference, and s_i^2 is the squared residual of row i, divided by the
    weight left after fitting, ``weight - trace((2 H - H design H) design_squared)``: unbiased if
    the noise of a row has the same variance in every round and the model, if it counts, is right;
    a wrong one makes it larger. The ridge stands for a model whose error has variance
    ``s_i^2 / ridge``. Where a share never varied, or without ridge never on its own, only the
    model speaks, and the error is infinite.

    A row that was not measured in some rounds enters with ``u weight / rounds`` where it was and
    zero where it was not, inverse-probability weighting, so that all rows share one design: one
    per row would take k times the space. That is consistent if what is missing does not depend on
    the shares drawn, and its noise, in proportion to what is missing, is part of the standard
    error. A row may thus be missing now and then; sites that never measure it should draw their
    shares like the others.

    Args:
        moments: Of the rounds.
        model: Effects to start from, shape (m, k); zero if not given.
        ridge: Weight of the model, in the units of ``design``, squared shares; one number or one
            per column, shape (k,).
        reference: Mixture the effects are relative to, shape (k,); uniform if not given. Columns
            that did not vary are left out of it.

    Raises:
        ValueError: A negative ridge, a reference that is no mixture, or a model of another shape.
    """
    ridge = np.broadcast_to(ridge, len(moments.design))
    if not ((ridge >= 0) & (ridge < np.inf)).all():
        raise ValueError(f"ridge must be in [0, inf), got {ridge.tolist()}")
    if reference is None:
        reference = np.ones(len(moments.design))
    if reference.shape != ridge.shape or not (reference >= 0).all() or not reference.any():
        raise ValueError(f"reference must be a mixture of shape {ridge.shape}, got {reference}")
    if model is None:
        model = np.zeros_like(moments.cross)
    if model.shape != moments.cross.shape:
        raise ValueError(f"model must have shape {moments.cross.shape}, got {model.shape}")
    inverse, null = _pseudo_inverse(moments.design)
    penalty = np.diag(ridge)
    ridged = _pseudo_inverse(moments.design + penalty)[0] if ridge.any() else inverse
    observed = moments.rounds > MIN_PART * moments.weight
    scale = np.zeros_like(moments.rounds)
    np.divide(moments.weight, moments.rounds, out=scale, where=observed)
    cross = scale[:, None] * moments.cross
    correction = np.where(observed[:, None], (cross - model @ moments.design) @ ridged, 0.0)
    varied = np.diag(moments.design) > NOTHING
    contrasts = _contrasts(varied, reference)
    # The level of the columns that varied, beside the others, is the model's.
    value = model @ contrasts + correction @ np.where(varied, contrasts, 0.0)
    loading = ridged @ contrasts
    squared_error = (loading * ((moments.design_squared + penalty) @ loading)).sum(axis=0)
    variance = _noise(moments, model + correction, ridged, cross, scale)
    noisy = observed & np.isfinite(variance)
    squares = np.outer(np.where(noisy, variance, 0.0), np.maximum(squared_error, 0.0))
    told = np.outer(noisy, varied & (~_hidden(contrasts, null) | (ridge > 0).all()))
    return Effects(value, np.where(told, np.sqrt(squares), np.inf))


def _noise(
    moments: EffectMoments, fitted: Array, inverse: Array, cross: Array, scale: Array
) -> Array:
    """Variance of each row's noise in a round of weight one, shape (m,); infinite if untold."""
    hat = 2 * inverse - inverse @ moments.design @ inverse
    spent = float((hat * moments.design_squared).sum())
    explained = (fitted * (2 * cross - fitted @ moments.design)).sum(axis=1)
    residual: Array = np.maximum(scale**2 * moments.outcome - explained, 0.0)
    enough = moments.rounds - spent > MIN_PART * moments.rounds
    variance: Array = np.full_like(residual, np.inf)
    np.divide(residual, moments.weight - spent, out=variance, where=enough)
    return variance


def _contrasts(varied: NDArray[np.bool_], reference: Array) -> Array:
    """What rows of effects are multiplied with to be relative to the reference: (k, k)."""
    compared = reference * varied
    if not compared.any():
        compared = reference
    return np.eye(len(varied)) - np.outer(compared / compared.sum(), np.ones(len(varied)))


def _hidden(contrasts: Array, null: Array) -> NDArray[np.bool_]:
    """Which contrasts, columns, need directions in which shares never varied; (k,)."""
    directions = null / np.sqrt((null**2).sum(axis=0))
    part: Array = np.abs(directions.T @ contrasts).max(axis=0, initial=0.0)
    return part > NULL_TOLERANCE


def _pseudo_inverse(matrix: Array) -> tuple[Array, Array]:
    """A symmetric generalised inverse of a covariance, and a basis of its null space.

    Shares differ by orders of magnitude and their squares by twice as many, so that what is rank
    and what is rounding shows only once the diagonal is scaled to one.

    Returns:
        The inverse, shape (k, k), and the basis, shape (k, directions).
    """
    size = np.sqrt(np.diag(matrix))
    varied = size**2 > NOTHING
    inverse_size = np.divide(1.0, size, out=np.zeros_like(size), where=varied)
    values, vectors = np.linalg.eigh(matrix * np.outer(inverse_size, inverse_size))
    rank = values > RANK_TOLERANCE * max(float(values[-1]), 0.0)
    seen = inverse_size[:, None] * vectors[:, rank]
    null = np.where(varied, inverse_size, 1.0)[:, None] * vectors[:, ~rank]
    return (seen / values[rank]) @ seen.T, null
