"""Constraints compiled into arrays, and what they leave to one step of a run."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from policies.allocation.constraint import Row
from policies.allocation.filling import ones
from policies.policy import Task
from policies.signals import Array

# What rounding may leave of a minimum at the end of a run that is planned to keep it exactly.
ROUNDING = 1e-7
NOBODY = -1


@dataclass(frozen=True, eq=False)
class Limits:
    """The inequalities of one step, for its mixture p and the mean mixture m of those after it.

    ``lower <= p <= upper, matrix p <= bound`` and the same for m, and, over all that is left of the
    run, ``weight p + (1 - weight) m <= room`` and ``totals (weight p + (1 - weight) m) <= budget``.

    Attributes:
        lower: Shape (k,).
        upper: Shape (k,).
        bound: Shape (r,).
        room: Tokens left of each domain over tokens left of the run, shape (k,); may be infinite.
        budget: What is left of each budget over tokens left of the run, shape (t,).
        weight: How much of what is left of the run p decides.
        change: Largest total variation from the last mixture; infinite without a limit.
        divergence: Largest divergence from the last mixture, likewise.
    """

    lower: Array
    upper: Array
    bound: Array
    room: Array
    budget: Array
    weight: float
    change: float
    divergence: float

    @cached_property
    def ceiling(self) -> Array:
        """``upper``, and what p may use up if every later step is to have its lower bound: (k,)."""
        if self.weight >= 1:
            return np.minimum(self.upper, self.room)
        spare = self.room - self.lower
        if spare.item(spare.argmin()) < 0:
            spare[(spare < 0) & (spare >= -ROUNDING)] = 0.0
        return np.minimum(self.upper, self.lower + spare / self.weight)

    @cached_property
    def ample(self) -> bool:
        """Whether bounds of domains leave a later mixture to any p within ``ceiling``.

        Where all that domains may have later adds up to a whole run, p, which takes no more than
        its weight of it, leaves enough for the rest.
        """
        most = np.minimum((1 - self.weight) * self.upper, self.room)
        return float(most.dot(ones(len(most)))) >= 1


@dataclass(frozen=True, eq=False)
class FeasibleSet:
    """All constraints of a run as arrays over k domains; r rows of a step and t budgets of a run.

    What concerns a single domain is kept as bounds. Each inequality knows its owner, the place of
    the constraint that made it, or -1 where there is none, and its kind as a place in ``KINDS``.

    Attributes:
        texts: The constraints as the user wrote them.
        task: The run.
        reserve: Tokens of each capped domain that only its lower bound may use.
        rows: Every inequality with its owner; the flag tells those on the whole run.
    """

    texts: tuple[str, ...]
    task: Task
    reserve: float
    rows: tuple[tuple[Row, int, bool], ...]
    lower: Array
    lower_owner: NDArray[np.int64]
    lower_kind: NDArray[np.int64]
    upper: Array
    upper_owner: NDArray[np.int64]
    upper_kind: NDArray[np.int64]
    matrix: Array
    bound: Array
    row_owner: NDArray[np.int64]
    row_kind: NDArray[np.int64]
    cap: Array
    cap_owner: NDArray[np.int64]
    totals: Array
    budget: Array
    total_owner: NDArray[np.int64]
    change: float
    change_owner: int
    divergence: float
    divergence_owner: int

    @cached_property
    def capped(self) -> NDArray[np.int64]:
        """Places of the domains of which only so many tokens may be drawn."""
        return np.flatnonzero(np.isfinite(self.cap))

    @cached_property
    def owners(self) -> dict[str, NDArray[np.int64]]:
        """The owner of every inequality, by the names that slacks and duals have."""
        return {
            "lower": self.lower_owner,
            "upper": self.upper_owner,
            "bound": self.row_owner,
            "room": self.cap_owner[self.capped],
            "budget": self.total_owner,
            "change": np.array([self.change_owner]),
            "divergence": np.array([self.divergence_owner]),
        }

    @cached_property
    def owner_places(self) -> dict[str, NDArray[np.int64]]:
        """The same where nobody comes after all constraints, and a place for each domain's cap.

        Inequalities of the mean mixture of later steps belong to whom those of this step do.
        """
        owners = self.owners | {"cap": self.cap_owner}
        last = len(self.texts)
        places = {name: np.where(own == NOBODY, last, own) for name, own in owners.items()}
        return places | {f"{name} later": places[name] for name in ("lower", "upper", "bound")}

    def limits(self, tokens_drawn: Array, step: int) -> Limits:
        """What is left to a step.

        Args:
            tokens_drawn: Of each domain before this step, shape (k,).
            step: From 0.
        """
        left = max(self.task.total_steps - step, 1)
        tokens = float(left * self.task.tokens_per_step)
        # What was drawn too much cannot be undone: nothing is left, not less.
        room = np.maximum(self.cap - tokens_drawn, 0.0) / tokens
        if self.reserve > 0:
            spare = np.maximum(self.cap - self.reserve - tokens_drawn, 0.0) / tokens
            room = np.maximum(spare, np.minimum(room, self.lower))
        budget = self.budget
        if len(budget):
            budget = np.maximum(budget - self.totals @ tokens_drawn, 0.0) / tokens
        return Limits(
            lower=self.lower,
            upper=self.upper,
            bound=self.bound,
            room=room,
            budget=budget,
            weight=_decided(self._glide, left) / left,
            change=self.change,
            divergence=self.divergence,
        )

    @cached_property
    def _glide(self) -> float:
        """The part of the way to any other mixture that one step may surely go."""
        part = min(self.change, 1.0)
        if math.isfinite(self.divergence) and self.lower.min() > 0:
            # KL(m || p) is at most this for all m if no entry of p is below its lower bound.
            part = min(part, self.divergence / max(-math.log(float(self.lower.min())), 1e-12))
        return part


def _decided(part: float, left: int) -> float:
    """How many of the ``left`` steps from now on a mixture fills if it can be left only slowly.

    Going over from p to m by ``p + (1 - (1 - part)^j) (m - p)`` never moves by more than is
    allowed, and along the way p fills ``sum_j (1 - part)^j`` steps. One step where any change is
    allowed.
    """
    return -math.expm1(left * math.log1p(-part)) / part if part < 1 else 1.0
