"""MinimaxRegret: the mixture with the least worst-case regret over languages."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from policies.estimators.effects import EffectMoments, Effects, absorb, merge, no_moments
from policies.feedback import Feedback
from policies.minimax.blocks import Schedule, leaning, signs
from policies.minimax.choice import Choice, cautious, choose
from policies.minimax.game import Game
from policies.minimax.groups import Groups, make_groups
from policies.minimax.transfer import aligned, estimate
from policies.policy import Decision, Policy, Task
from policies.published.held_out import held_out_loss
from policies.signals import Array, Signal
from policies.simplex import check_weights


class Block(NamedTuple):
    """One block of steps at one mixture.

    Attributes:
        drawn: Sequences drawn of each group, shape (g,).
        drop: Fall of each language's validation loss over the block, bits per byte, (k,).
    """

    drawn: Array
    drop: Array


class MinimaxState(NamedTuple):
    """What is kept between steps; k languages in alphabetical order, g groups of them.

    The order keeps the answers the same to the bit however the corpus lists its languages.

    Attributes:
        order: Which domain of the corpus each language is, shape (k,).
        groups: Which domains are perturbed together.
        target: The mixture of languages the adversary starts from, shape (k,).
        schedule: When which block is played.
        seed: Seed of the design.
        mixture: Shares of the groups that the blocks lean from, shape (g,).
        loss: Last validation loss, shape (k,), bits per byte; NaN if unknown.
        block: The block under way.
        first: The first block of the pair under way.
        mean_drop: Mean drop in the last pair, shape (k,); NaN before there was one.
        pace: How fast the last pair learnt, as far as the schedule tells.
        epochs: How often each domain has been read, shape (k,).
        alignment: Inner products of gradients at the last block's end, shape (k, g).
        languages: A number that tells languages by these names from others.
        pairs: Own pairs that told something of effects.
        other_pairs: Those of other sites.
        moments: What own pairs told of effects.
        others: What other sites' pairs told.
        choice: The game's last outcome.
    """

    order: NDArray[np.int64]
    groups: Groups
    target: Array
    schedule: Schedule
    seed: int
    mixture: Array
    loss: Array
    block: Block
    first: Block
    mean_drop: Array
    pace: float
    epochs: Array
    alignment: Array
    languages: int
    pairs: int
    other_pairs: int
    moments: EffectMoments
    others: EffectMoments
    choice: Choice


@final
@dataclass(frozen=True, kw_only=True)
class MinimaxRegret(Policy):
    """Learns by randomised trials which language helps which, and minimises the worst regret.

    Steps are played in pairs of blocks. Block one leans from the mixture p towards a random half
    of the domains, block two as much the other way, so that the pair as a whole is at p (but for
    its first step, which comes before the last pair is heard of): the trials cost no tokens. With
    y the fall of every language's validation loss over a block and z the shares realised in it,

        u = (y_1 - y_2) / 2,   v = (z_1 - z_2) / 2

    are free of whatever both blocks have in common, such as the learning-rate schedule; what is
    left of the slowing down of learning between two blocks is taken out by the fall from the last
    pair's mean to this one's. Effects are those of the doubly robust estimate

        A = A_model + [sum d (u - A_model v) v'] [sum d v v' + ridge]^+

    with discounts d. The trials are randomised by design, so whatever the model gets wrong is
    corrected as they add up, but for what the ridge of ``model_weight`` pairs leaves of it. All
    effects are taken to fall like the learning rate over the step, as they do along a power law,
    so v counts in proportion, and u as more certain the slower that is.
    Each entry counts as far as it exceeds ``caution`` standard errors, so that without evidence
    there is no effect, hence no regret, hence no reason to leave the prior. The mixture minimises

        max_l sum_i l_i R_i(p) + inertia KL(p || prior),   R_i(p) = max_p' A_i p' - A_i p

    over mixtures within a factor ``max_change`` of the last one, where the adversary picks the
    weights l of languages from all there are, or from a ball around the target.

    Minimax regret over unknown mixtures of sources: Carranza and Athey, "Robust Offline Policy
    Learning with Observational Data from Multiple Sources"; differences between actions instead of
    rewards: Carranza, Krishnamurthy and Athey, arXiv 2203.16668; the estimate is that of slates
    (Swaminathan et al. 2017, arXiv 1605.04812) with a control variate. Put together here.

    It looks one pair ahead: what a scarce language will be worth after the repeats still to come
    shows only once they lose their effect. With many domains single effects drown in noise;
    name ``families`` then, or leave it to groups of like size.

    Costs a validation pass at the end of every block and one small convex program per pair.

    Args:
        block: Length of a block as a part of the run; at least ``min_block_steps``.
        min_block_steps: Fewest steps of a block.
        min_pairs: Pairs before the first move: fewer do not tell how noisy they are.
        strength: How far blocks lean, in (0, 1]; at one a domain is left out of some blocks.
        memory: What one pair leaves of the weight of earlier ones, in (0, 1].
        caution: Standard errors that every effect is lowered by.
        inertia: Regret, in the units below, that is given up for one nat less from the prior; at
            least 1e-9.
        max_change: Largest factor between shares of consecutive pairs, above 1.
        ambiguity: How far the adversary may stray from the target, KL in nats; infinite for
            minimal worst-case regret over all languages, 0 for the target itself.
        units: "own" counts a language's regret in units of the most it could gain; "common" counts
            all languages' in bits per byte, in units of what they could gain on average.
        model: The direct estimate: "own" lets every language be helped by its own text alone, as
            much for each relative to its share and the less the more often it has been read;
            "gradients" takes inner products of gradients, at the price of their signal; "none" is
            zero.
        model_weight: How many pairs the model is worth.
        solver: "program" for the convex program, "play" for no-regret play, which agrees with it
            to the gap shown in the diagnostics and takes over beyond 256 languages.
        families: Domain names by family, perturbed together.
        max_groups: Most groups that domains are perturbed in if there are no families.
    """

    block: float = 0.01
    min_block_steps: int = 1
    min_pairs: int = 4
    strength: float = 0.9
    memory: float = 0.99
    caution: float = 2.0
    inertia: float = 8.0
    max_change: float = 1.2
    ambiguity: float = 0.01
    units: Literal["own", "common"] = "common"
    model: Literal["own", "gradients", "none"] = "own"
    model_weight: float = 20.0
    solver: Literal["program", "play"] = "program"
    families: dict[str, list[str]] | None = None
    max_groups: int = 16

    def __post_init__(self) -> None:
        for name, low, high in (
            ("block", 0.0, 0.5),
            ("strength", 0.0, 1.0),
            ("memory", 0.0, 1.0),
            ("inertia", 1e-9, 1e9),
            ("max_change", 1.0, 1e6),
        ):
            if not low < getattr(self, name) <= high:
                raise ValueError(
                    f"{name} must be in ({low:g}, {high:g}], got {getattr(self, name)}"
                )
        for name in ("caution", "model_weight"):
            if not 0 <= getattr(self, name) < np.inf:
                raise ValueError(f"{name} must be in [0, inf), got {getattr(self, name)}")
        if not self.ambiguity >= 0:
            raise ValueError(f"ambiguity must not be negative, got {self.ambiguity}")
        for name, allowed in (
            ("units", ("own", "common")),
            ("model", ("own", "gradients", "none")),
            ("solver", ("program", "play")),
        ):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} must be one of {allowed}, got {getattr(self, name)!r}")
        for name in ("min_block_steps", "min_pairs", "max_groups"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")

    @property
    def signals(self) -> frozenset[Signal]:
        asked = {Signal.VALIDATION_LOSS}
        if self.model == "gradients":
            asked.add(Signal.GRADIENT_ALIGNMENT)
        return frozenset(asked)

    def init(self, task: Task) -> MinimaxState:
        check_weights(task.prior, task.names, "prior")
        order = np.argsort(task.names, kind="stable")
        names, sizes = tuple(np.array(task.names)[order].tolist()), task.unique_tokens[order]
        groups = make_groups(names, sizes, task.prior[order], self.families, self.max_groups)
        size, shares = task.num_domains, len(groups.prior)
        steps = max(round(self.block * task.total_steps), self.min_block_steps)
        pairs = max(task.total_steps - 1, 0) // (2 * steps)
        if pairs <= self.min_pairs:
            raise ValueError(
                f"block and min_block_steps must leave room for more than min_pairs = "
                f"{self.min_pairs} pairs of blocks, got {pairs} pairs of 2 x {steps} steps in "
                f"{task.total_steps} steps; take shorter blocks, fewer pairs or a longer run"
            )
        nothing = Block(np.zeros(shares), np.full(size, np.nan))
        return MinimaxState(
            order=order,
            groups=groups,
            target=task.target[order],
            schedule=Schedule(steps, pairs),
            seed=task.seed,
            mixture=groups.prior,
            loss=np.full(size, np.nan),
            block=nothing,
            first=nothing,
            mean_drop=np.full(size, np.nan),
            pace=0.0,
            epochs=np.zeros(size),
            alignment=np.zeros((size, shares)),
            languages=zlib.crc32("\0".join(names).encode()),
            pairs=0,
            other_pairs=0,
            moments=no_moments(size, shares),
            others=no_moments(size, shares),
            choice=Choice(np.zeros(size), task.target[order], 0.0, 0, 0),
        )

    def decide(self, state: MinimaxState, step: int) -> Decision:
        place = state.schedule.place(step)
        shares = state.mixture
        if place.pair >= 0:
            sign = signs(state.groups.ranks, state.seed, place.pair)
            shares = leaning(shares, -sign if place.half else sign, self.strength)
        weights = np.empty(len(state.order))
        weights[state.order] = state.groups.spread(shares)
        return Decision(weights, self.signals if place.ends else frozenset())

    def update(self, state: MinimaxState, feedback: Feedback) -> MinimaxState:
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
        state = state._replace(
            loss=loss,
            block=block,
            epochs=feedback.epochs[state.order],
            alignment=aligned(feedback.gradients, state.order, state.groups, state.alignment),
        )
        if place.pair < 0:
            return state
        if not place.half:
            return state._replace(first=block)
        middle = feedback.step + 1 - state.schedule.block_steps
        return self._after_pair(state, max(feedback.learning_rate, 0.0) / middle)

    def diagnostics(self, state: MinimaxState) -> Mapping[str, float | Array]:
        effect, place = self.effects(state), np.argsort(state.order)
        clear = np.abs(effect.value) > 2 * effect.standard_error
        shown: dict[str, float | Array] = {
            "regret": state.choice.regret[place],
            "adversary": state.choice.adversary[place],
            "gap": state.choice.gap,
            "clear_effects": float(clear.mean()),
            "programs_failed": float(state.choice.failed),
        }
        if np.array_equal(state.groups.group, np.arange(len(place))):
            shown["transfer"] = effect.value[np.ix_(place, place)]
        return shown

    def effects(self, state: MinimaxState) -> Effects:
        """What is known of the effect of moving share from the prior to each group, (k, g).

        In bits per byte and block, now; row = language evaluated, column = group trained on, both
        in the order of the state.
        """
        moments = merge(state.moments, state.others)
        found = estimate(
            moments,
            state.groups,
            state.epochs,
            state.alignment,
            self.model,
            self.model_weight,
        )
        known = np.isfinite(found.standard_error)
        error = np.where(known, state.pace * np.where(known, found.standard_error, 0.0), np.inf)
        return Effects(state.pace * found.value, error)

    def game(self, state: MinimaxState) -> Game:
        """The game that the next pair's mixture solves."""
        return Game(
            effect=cautious(self.effects(state), self.caution),
            prior=state.groups.prior,
            lower=state.mixture / self.max_change,
            upper=np.minimum(state.mixture * self.max_change, 1.0),
            target=state.target,
            ambiguity=self.ambiguity,
            inertia=self.inertia,
            own_units=self.units == "own",
        )

    def _after_pair(self, state: MinimaxState, pace: float) -> MinimaxState:
        first, second = state.first, state.block
        mean = (first.drop + second.drop) / 2
        # Two pairs lie two blocks apart: half of what is between them is between two blocks. The
        # first pair, whose losses fall fastest, tells no more than that.
        slowing = (state.mean_drop - mean) / 2
        shift = (_shares(first) - _shares(second)) / 2
        fall = (first.drop - second.drop - slowing) / 2
        # Effects are kept per pace; rows whose noise falls with it count alike divided by its root.
        root = float(np.sqrt(max(pace, 1e-300)))
        state = state._replace(
            moments=absorb(state.moments, root * shift, fall / root, discount=self.memory),
            others=merge(state.others, state.others, weights=(self.memory, 0.0)),
            mean_drop=mean,
            pace=pace,
            pairs=state.pairs + int(np.isfinite(fall).any()),
        )
        if len(state.mixture) == 1 or state.pairs + state.other_pairs < self.min_pairs:
            return state
        mixture, choice = choose(self.game(state), self.solver, state.choice)
        return state._replace(mixture=mixture, choice=choice)


def _shares(block: Block) -> Array:
    shares: Array = block.drawn / max(float(block.drawn.sum()), 1.0)
    return shares
