"""MinimaxRegret: the mixture with the least worst-case regret over languages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from policies.estimators.effects import Effects, merge
from policies.feedback import Feedback
from policies.minimax.blocks import Schedule, leaning, signs
from policies.minimax.choice import cautious, choose
from policies.minimax.game import Game
from policies.minimax.pairs import compare, hear
from policies.minimax.state import MinimaxState, first_state
from policies.minimax.transfer import estimate
from policies.policy import Decision, Policy, Task
from policies.signals import Array, Signal
from policies.simplex import check_weights


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
    pair's mean to this one's. With L the losses before, between and after the two, u is
    ``(L_0 + L_2) / 2 - L_1``: what one block does, seen in the middle of the pair, where the order
    of text does not matter for the losses at its end. Where it does, because what was read last
    counts more, u has half of that on top; that is part of what is called an effect here, for to
    measure it apart would take twice the pairs. Effects are those of the doubly robust estimate

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
        memory: What one pair leaves of the weight of earlier ones, in (0, 1]. The longer, the
            surer the signs of effects and the better the decisions, for which a factor common to
            all effects does not matter; and the further their sizes lag behind where they do not
            fall like the learning rate over the step: in small networks, whose effects hardly
            fell, 0.99 left 0.2 of their size and 0.85 left 0.8.
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
        steps = max(round(self.block * task.total_steps), self.min_block_steps)
        pairs = max(task.total_steps - 1, 0) // (2 * steps)
        if pairs <= self.min_pairs:
            raise ValueError(
                f"block and min_block_steps must leave room for more than min_pairs = "
                f"{self.min_pairs} pairs of blocks, got {pairs} pairs of 2 x {steps} steps in "
                f"{task.total_steps} steps; take shorter blocks, fewer pairs or a longer run"
            )
        return first_state(task, Schedule(steps, pairs), self.families, self.max_groups)

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
        state = hear(state, feedback)
        place = state.schedule.place(feedback.step)
        if not (place.half and place.ends):
            return state
        state = compare(state, feedback, self.memory)
        if len(state.mixture) == 1 or state.pairs + state.other_pairs < self.min_pairs:
            return state
        mixture, choice = choose(self.game(state), self.solver, state.choice)
        return state._replace(mixture=mixture, choice=choice)

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
