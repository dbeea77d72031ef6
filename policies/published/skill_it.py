"""Skill-It: weights from held-out losses and a graph of which domain helps which."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple, final

import numpy as np
from numpy.typing import NDArray

from policies.feedback import Feedback
from policies.held_out import held_out_loss
from policies.policy import Decision, Policy, Task
from policies.published.skill_graph import (
    check_graph,
    graph_matrix,
    with_halved_edges,
    with_weak_binary_edges,
)
from policies.published.skill_it_isolated import isolated_domains, tilt_the_others
from policies.signals import Array, LossUnit, Signal, check_unit
from policies.simplex import check_weights


class SkillItState(NamedTuple):
    """The losses heard of and the exponent they gave.

    Attributes:
        prior: The mixture that weights are relative to, shape (k,).
        alone: Domains that keep an even share, shape (k,).
        relevance: How much each domain's loss counts, one on average over those that do, (k,).
        graph: Row = domain evaluated, column = trained on, (k, k); empty for the identity, which
            is not stored.
        exponent: Logarithm of the weights over the mixture they are relative to, shape (k,).
        losses: The last losses, the latest in the last row, (window, k).
        first_loss: What ``rescale`` compares losses with, shape (k,).
        evaluations: Evaluations heard of.
        updates: Updates made.
    """

    prior: Array
    alone: NDArray[np.bool_]
    relevance: Array
    graph: Array
    exponent: Array
    losses: Array
    first_loss: Array
    evaluations: int
    updates: int


def exponents(graph: Array, loss: Array, eta: float) -> Array:
    """``eta sum_i S_ji loss_i`` for each domain j trained on, shape (k,).

    Args:
        graph: S with the domain evaluated as the row and the one trained on as the column, (k, k);
            empty for the identity.
        loss: What is to be brought down, by domain evaluated, shape (k,).
        eta: Step size.
    """
    return eta * (loss @ graph if graph.size else loss)


@final
@dataclass(frozen=True, kw_only=True)
class SkillIt(Policy):
    """Domains are weighted by the held-out losses of the domains that they help.

    Every ``update_every`` steps, with the edge S_ji from trained domain j to evaluated domain i,

        p_j ~ prior_j exp(eta sum_i S_ji sum_{last w evaluations} L_i),

    which is Skill-It (Chen et al. 2023, arXiv 2307.14430) if the prior is uniform. Nothing is
    carried over from earlier weights, and the losses are summed, so that steps grow until the
    window is full. The rule does not start at the prior: its first mixture is prior_j exp(eta sum_i
    S_ji), since the graph is known before. (For the identity that is the prior; see ``start``.)
    Losses are weighted with the task's target if that is not uniform. A domain without a usable
    loss counts with its last one, at first with the mean of the others.

    "released" is what the authors' code does. Losses are evaluated after steps 0, e, 2e, ..., so
    that the latest loss in an update is a whole e = ``evaluate_every`` steps old if e divides
    ``update_every``; "paper" evaluates after every e-th step, in time for the update. Edges between
    two domains that are exactly one are set to a half. And what ``rescale`` compares with is the
    second evaluation, not the first.

    Weaknesses: a high loss attracts weight even where nothing can be learnt; losses per token
    depend on the tokenizer, so compare languages in bits per byte; a graph from finished runs is
    costly, says nothing of mixtures, and does not change as training goes on. Where all edges are
    alike all weights are.

    Args:
        graph: The edges, ``{trained: {evaluated: edge}}``, as `skill_graph.learn_graph` gives them.
            (Our matrices have it the other way round: row = evaluated.) An edge left out is zero,
            or one from a domain to itself; without any graph every domain helps itself alone.
        variant: "paper" or "released".
        eta: Step size, positive; the authors take 0.1 to 0.8.
        window: Evaluations summed over, at least 1.
        update_every: Steps between updates; the authors take 100 to 1200.
        evaluate_every: Steps between evaluations, each a pass over the held-out data.
        targets: Names of the domains whose loss counts, all if empty. If given, the losses in the
            window are averaged and not summed.
        start: The first mixture. "graph" as above; "prior" the prior, to which later weights are
            relative; "prior_once" the prior, later weights being relative to the uniform mixture.
        isolated: "weighted" as all others; "even" leaves domains without edges at 1/k each (the
            authors' ``ignore_lone_nodes``). The others are then relative to their last weights, not
            to the prior, in that code because two names share one array.
        rescale: "none" takes losses as they are; "by_domain" divides each by what it was in the
            beginning; "eta" divides eta by the ratio of the latest sum of losses to the first.
        halve_edges: Whether each update halves all positive edges between domains, for the next.
        initial_loss: Whether a first entry of the window is made up, the mean of the first losses
            for every domain.
        unit: Unit of the held-out losses.
    """

    graph: dict[str, dict[str, float]] | None = None
    variant: Literal["paper", "released"] = "paper"
    eta: float = 0.2
    window: int = 3
    update_every: int = 500
    evaluate_every: int = 500
    targets: tuple[str, ...] = ()
    start: Literal["graph", "prior", "prior_once"] = "graph"
    isolated: Literal["weighted", "even"] = "weighted"
    rescale: Literal["none", "by_domain", "eta"] = "none"
    halve_edges: bool = False
    initial_loss: bool = False
    unit: LossUnit = "nats_per_token"

    def __post_init__(self) -> None:
        choices = {
            "variant": ("paper", "released"),
            "start": ("graph", "prior", "prior_once"),
            "isolated": ("weighted", "even"),
            "rescale": ("none", "by_domain", "eta"),
        }
        for name, known in choices.items():
            if getattr(self, name) not in known:
                raise ValueError(
                    f"{name} must be one of {', '.join(known)}, got {getattr(self, name)!r}"
                )
        if self.isolated == "even" and self.start == "prior_once":
            raise ValueError(
                "start must be 'graph' or 'prior' with isolated 'even', got 'prior_once'"
            )
        check_unit(self.unit)
        if not 0 < self.eta <= 1e6:
            raise ValueError(f"eta must be in (0, 1e6], got {self.eta}")
        for name in ("window", "update_every", "evaluate_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        if self.graph is not None:
            check_graph(self.graph)

    @property
    def signals(self) -> frozenset[Signal]:
        return frozenset({Signal.VALIDATION_LOSS})

    def init(self, task: Task) -> SkillItState:
        size = task.num_domains
        graph = np.empty(0) if self.graph is None else graph_matrix(self.graph, task.names)
        if self.variant == "released" and graph.size:
            graph = with_weak_binary_edges(graph)
        relevance = self._relevance(task)
        prior = check_weights(task.prior, task.names, "prior")
        known, even = self.start == "graph", self.isolated == "even"
        return SkillItState(
            prior=prior,
            alone=isolated_domains(graph, prior) if even else np.zeros(size, dtype=bool),
            relevance=relevance,
            graph=graph,
            exponent=exponents(graph, relevance, self.eta) if known else np.zeros(size),
            losses=np.zeros((self.window, size)),
            first_loss=np.ones(size),
            evaluations=0,
            updates=0,
        )

    def decide(self, state: SkillItState, step: int) -> Decision:
        signals = self.signals if self._evaluates(step) else frozenset()
        return Decision(tilt_the_others(state.prior, state.exponent, state.alone), signals)

    def update(self, state: SkillItState, feedback: Feedback) -> SkillItState:
        if self._evaluates(feedback.step):
            state = self._heard(state, held_out_loss(feedback, self.unit))
        if (feedback.step + 1) % self.update_every or not state.evaluations:
            return state
        # The halving that an update brings is felt by the next one.
        graph = self._graph(state)
        exponent = exponents(graph, state.relevance * self._to_reduce(state), self._eta(state))
        updates = state.updates + 1
        return state._replace(prior=self._base(state), exponent=exponent, updates=updates)

    def diagnostics(self, state: SkillItState) -> Mapping[str, float | Array]:
        shown: dict[str, float | Array] = {
            "window_loss": self._window_loss(state),
            "eta": self._eta(state),
        }
        if state.graph.size:
            shown["transfer"] = self._graph(state)
        return shown

    def _base(self, state: SkillItState) -> Array:
        """What weights are relative to once an update has been made, shape (k,)."""
        if self.isolated == "even":
            return tilt_the_others(state.prior, state.exponent, state.alone)
        if self.start == "prior_once":
            return np.full_like(state.prior, 1 / len(state.prior))
        return state.prior

    def _evaluates(self, step: int) -> bool:
        return (step + (self.variant == "paper")) % self.evaluate_every == 0

    def _heard(self, state: SkillItState, loss: Array) -> SkillItState:
        """The state after an evaluation, NaN where it gave no usable loss."""
        known = np.isfinite(loss)
        if not known.any():
            return state
        missing = state.losses[-1] if state.evaluations else float(loss[known].mean())
        loss = np.where(known, loss, missing)
        rows = [*state.losses[1:], loss]
        if self.initial_loss and not state.evaluations:
            rows = [
                *rows[1:-1],
                np.full(len(loss), np.average(loss, weights=state.relevance)),
                loss,
            ]
        replaces = state.evaluations == 0 or (self.variant == "released" and state.evaluations == 1)
        return state._replace(
            losses=np.array(rows[-self.window :]),
            first_loss=loss if replaces else state.first_loss,
            evaluations=state.evaluations + 1,
        )

    def _window_loss(self, state: SkillItState) -> Array:
        """Sum, or with targets mean, of the losses in the window, shape (k,)."""
        total: Array = state.losses.sum(axis=0)  # Rows not yet filled are zero.
        filled = min(state.evaluations + self.initial_loss, self.window)
        return total / max(filled, 1) if self.targets else total

    def _to_reduce(self, state: SkillItState) -> Array:
        loss = self._window_loss(state)
        return loss / state.first_loss if self.rescale == "by_domain" else loss

    def _eta(self, state: SkillItState) -> float:
        if self.rescale != "eta" or not state.evaluations:
            return self.eta
        first, last = state.relevance @ state.first_loss, state.relevance @ state.losses[-1]
        return self.eta * float(first / last)

    def _graph(self, state: SkillItState) -> Array:
        """The graph that the next update uses, (k, k), or empty."""
        if not self.halve_edges or not state.graph.size:
            return state.graph
        return with_halved_edges(state.graph, state.updates)

    def _relevance(self, task: Task) -> Array:
        """The target among the domains that count, scaled to one for each if uniform: (k,)."""
        if unknown := set(self.targets) - set(task.names):
            raise ValueError(f"targets must name domains of the corpus, got {sorted(unknown)}")
        counts = np.array([name in self.targets or not self.targets for name in task.names])
        target = np.where(counts, task.target, 0.0)
        if not target.sum() > 0:
            raise ValueError(
                f"targets must hold a domain whose target is positive, got {self.targets}"
            )
        return target * float(counts.sum()) / float(target.sum())
