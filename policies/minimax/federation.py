"""Learning effects together without exchanging data."""

from __future__ import annotations

from policies.estimators.effects import EffectMoments, merge


def discounted(moments: EffectMoments, factor: float) -> EffectMoments:
    """The moments with every round's weight multiplied by ``factor``."""
    return merge(moments, moments, weights=(factor, 0.0))
