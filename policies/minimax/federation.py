"""Several sites that learn effects together and keep their data to themselves.

What a site has learnt of effects is a sum over its pairs of blocks. Sums can be sent and added; no
text, no loss of a sequence and no count of one can be got back from them. Federated learning of
policies with global and per-site regret: Carranza and Athey, "Federated Offline Policy Learning".
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from policies.estimators.effects import EffectMoments, merge, no_moments
from policies.minimax.game import regrets
from policies.minimax.minimax_regret import MinimaxRegret
from policies.minimax.state import MinimaxState
from policies.signals import Array


class FederatedRegret(NamedTuple):
    """Regret of a mixture by what all sites know together and by what each knows alone.

    Attributes:
        together: Shape (k,), languages in the order of the states.
        alone: One row per site, each of shape (k,).
    """

    together: Array
    alone: tuple[Array, ...]


def exchange(
    states: Sequence[MinimaxState], site_weights: Sequence[float]
) -> tuple[MinimaxState, ...]:
    """Every site's state with what the others have learnt, as if it had been told their pairs.

    To be called between pairs of blocks, at whatever pace sites can talk; what was exchanged before
    is replaced. A site goes on with its own mixture, loss and schedule.

    Args:
        states: Of sites with the same languages and groups.
        site_weights: What a pair of each site counts, positive.

    Raises:
        ValueError: Sites of different languages, or a weight that is not positive.
    """
    _check(states, site_weights)
    exchanged = []
    for receiver, state in enumerate(states):
        others = no_moments(*state.moments.cross.shape)
        for sender, weight in enumerate(site_weights):
            if sender != receiver:
                relative = weight / site_weights[receiver]
                others = merge(others, states[sender].moments, weights=(1.0, relative))
        elsewhere = sum(one.pairs for one in states) - state.pairs
        exchanged.append(state._replace(others=others, other_pairs=elsewhere))
    return tuple(exchanged)


def federated_regret(
    policy: MinimaxRegret,
    states: Sequence[MinimaxState],
    site_weights: Sequence[float],
    mixture: Array,
) -> FederatedRegret:
    """Regret of playing one mixture of groups, shape (g,), at all sites.

    Sites differ in what their trials told and in nothing else: all else, such as the bounds of the
    next move and the pace of learning, is the first site's. A site that knows little alone finds
    little regret; how far rows differ tells how far sites do.
    """
    pooled = exchange(states, site_weights)[0]
    alone = tuple(
        regrets(policy.game(_alone(states[0], state.moments)), mixture) for state in states
    )
    return FederatedRegret(regrets(policy.game(pooled), mixture), alone)


def _alone(state: MinimaxState, moments: EffectMoments) -> MinimaxState:
    return state._replace(moments=moments, others=no_moments(*moments.cross.shape))


def _check(states: Sequence[MinimaxState], site_weights: Sequence[float]) -> None:
    if len(states) != len(site_weights) or not all(weight > 0 for weight in site_weights):
        raise ValueError(
            f"site_weights must be positive, one for each of {len(states)} sites, "
            f"got {list(site_weights)}"
        )
    first = states[0]
    for state in states:
        alike = state.languages == first.languages and len(state.mixture) == len(first.mixture)
        if not alike or (state.groups.group != first.groups.group).any():
            raise ValueError("sites must have the same languages in the same groups")
