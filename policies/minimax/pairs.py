"""What a pair of blocks tells: from the batches of its steps to the moments of effects."""

from __future__ import annotations

import numpy as np

from policies.estimators.effects import absorb, merge
from policies.feedback import Feedback
from policies.held_out import held_out_loss
from policies.minimax.state import Block, MinimaxState
from policies.minimax.transfer import aligned
from policies.signals import Array


def hear(state: MinimaxState, feedback: Feedback) -> MinimaxState:
    """The state with one step's batch in its block, and the losses at the block's end."""
    place = state.schedule.place(feedback.step)
    if place.pair < 0 and not place.ends:
        return state
    drawn = state.groups.gather(feedback.counts[state.order].astype(np.float64))
    if not place.begins:
        drawn = state.block.drawn + drawn
    if not place.ends:
        return state._replace(block=Block(drawn, state.block.drop))
    loss = held_out_loss(feedback, "bits_per_byte")[state.order]
    block = Block(drawn, state.loss - loss)
    return state._replace(
        loss=loss,
        block=block,
        first=block if place.pair >= 0 and not place.half else state.first,
        epochs=feedback.epochs[state.order],
        alignment=aligned(feedback.gradients, state.order, state.groups, state.alignment),
    )


def compare(state: MinimaxState, feedback: Feedback, memory: float) -> MinimaxState:
    """The state with what the two blocks of a pair tell of effects.

    Args:
        state: After the pair's last step was heard of.
        feedback: That step's.
        memory: What the pair leaves of the weight of earlier ones.
    """
    first, second = state.first, state.block
    middle = feedback.step + 1 - state.schedule.block_steps
    pace = max(feedback.learning_rate, 0.0) / middle
    mean = (first.drop + second.drop) / 2
    # Two pairs lie two blocks apart: half of what is between them is between two blocks. The first
    # pair, whose losses fall fastest, tells no more than that.
    slowing = (state.mean_drop - mean) / 2
    shift = (_shares(first) - _shares(second)) / 2
    fall = (first.drop - second.drop - slowing) / 2
    # Effects are kept per pace; rows whose noise falls with it count alike divided by its root.
    root = float(np.sqrt(max(pace, 1e-300)))
    return state._replace(
        moments=absorb(state.moments, root * shift, fall / root, discount=memory),
        others=merge(state.others, state.others, weights=(memory, 0.0)),
        mean_drop=mean,
        pace=pace,
        pairs=state.pairs + int(np.isfinite(fall).any()),
    )


def _shares(block: Block) -> Array:
    """Realised share of each group in a block, shape (g,)."""
    shares: Array = block.drawn / max(float(block.drawn.sum()), 1.0)
    return shares
