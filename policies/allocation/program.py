"""The nearest feasible mixture as a convex program, compiled once for a set of constraints."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from policies import programs
from policies.allocation.constraint import KINDS
from policies.allocation.feasible_set import NOBODY, FeasibleSet, Limits
from policies.allocation.filling import FAINTEST, Objective
from policies.signals import Array

# A limit that no mixture reaches, for the first step, which has no step before it.
NO_CHANGE = 2.0
NO_DIVERGENCE = 1e3
# What the solver may leave of a slack that could be zero.
MARGIN = 1e-7


class Answer(NamedTuple):
    """What a program found.

    Attributes:
        weights: The mixture p, as exact as the solver is, shape (k,).
        duals: Of each group of inequalities, by its name; empty for slacks.
        solver: Which one found it.
    """

    weights: Array
    duals: dict[str, Array]
    solver: str


class _Parts(NamedTuple):
    """Variables, parameters and constraints over p and m, with room for slack."""

    mixture: Any
    parameters: dict[str, Any]
    constraints: dict[str, Any]


class FeasibleMixture:
    """A mixture that keeps all constraints, as a variable of a program.

    Attributes:
        variable: Of cvxpy, shape (k,).
        constraints: Of cvxpy; a program over the variable must hold them all.
    """

    def __init__(self, feasible: FeasibleSet) -> None:
        self._feasible = feasible
        self._parts = _parts(feasible, {})
        self.variable: Any = self._parts.mixture
        self.constraints: list[Any] = list(self._parts.constraints.values())

    def fill(self, limits: Limits, previous: Array | None) -> None:
        """Say what the constraints are in a step.

        Args:
            limits: Those of the step.
            previous: The mixture of the step before, shape (k,); None before the first step.
        """
        _fill(self._parts, self._feasible, limits, limits.ceiling, previous)

    def answer(self, problem: Any, scale: float = 1.0) -> Answer:
        """The mixture that a solved program found, and its duals.

        Args:
            problem: The program; it minimises.
            scale: How many times the value its objective is; the duals are those of the value.
        """
        duals = {
            name: np.maximum(np.atleast_1d(np.asarray(constraint.dual_value, np.float64)), 0)
            / scale
            for name, constraint in self._parts.constraints.items()
            if not name.startswith("sum")
        }
        return Answer(self.variable.value, duals, str(problem.solver_stats.solver_name))


class NearestProgram:
    """Minimises the distance from a proposal.

    KL is ``-sum(entr(p)) - log(q) @ p``, the Euclidean distance ``sum((p - q)^2)``.
    """

    def __init__(self, feasible: FeasibleSet, objective: Objective) -> None:
        cp = programs.load_cvxpy()
        self._objective = objective
        self._mixture = FeasibleMixture(feasible)
        mixture = self._mixture.variable
        self._pull = cp.Parameter(mixture.size)
        if objective == "kl":
            distance = programs.relative_entropy(mixture, self._pull)
        else:
            distance = cp.sum_squares(mixture - self._pull)
        self._problem = cp.Problem(cp.Minimize(distance), self._mixture.constraints)

    def solve(self, proposal: Array, limits: Limits, previous: Array | None) -> Answer | None:
        """The nearest mixture, or None if there is none or the solvers fail."""
        self._mixture.fill(limits, previous)
        kl = self._objective == "kl"
        self._pull.value = np.log(np.maximum(proposal, FAINTEST)) if kl else proposal
        return self._mixture.answer(self._problem) if programs.solve(self._problem) else None


class SlackProgram:
    """Loosens constraints that cannot all be kept, those that matter least first, and as little.

    The slack of the kind that matters most is made least while all other kinds have as much as
    they want; it is then kept, the next kind's made least, and so on. Least means the sum of the
    slacks and half their squares: as few as possible, and evenly where the sum does not tell.
    """

    def __init__(self, feasible: FeasibleSet) -> None:
        cp = programs.load_cvxpy()
        self._feasible = feasible
        self._kinds = _slack_kinds(feasible)
        self._slacks = {name: cp.Variable(len(of), nonneg=True) for name, of in self._kinds.items()}
        self._parts = _parts(feasible, self._slacks)
        self._weights = {
            name: cp.Parameter(len(of), nonneg=True) for name, of in self._kinds.items()
        }
        self._allowed = {
            name: cp.Parameter(len(of), nonneg=True) for name, of in self._kinds.items()
        }
        cost: Any = 0
        within = list(self._parts.constraints.values())
        for name, slack in self._slacks.items():
            cost += self._weights[name] @ (slack + cp.square(slack) / 2)
            within.append(slack <= self._allowed[name])
        self._problem = cp.Problem(cp.Minimize(cost), within)

    def solve(self, limits: Limits, previous: Array | None) -> dict[str, Array] | None:
        """The least slack of every inequality by its name, or None if the solvers fail."""
        _fill(self._parts, self._feasible, limits, limits.upper, previous)
        for name, kinds in self._kinds.items():
            self._allowed[name].value = np.where(kinds >= 0, NO_DIVERGENCE, 0.0)
        present = np.unique(np.concatenate(list(self._kinds.values())))
        for kind in reversed(present[present >= 0]):
            for name, kinds in self._kinds.items():
                self._weights[name].value = (kinds == kind).astype(np.float64)
            if not programs.solve(self._problem):
                return None
            for name, kinds in self._kinds.items():
                found = np.maximum(self._slacks[name].value, 0.0) + MARGIN
                self._allowed[name].value = np.where(
                    kinds == kind, found, self._allowed[name].value
                )
        return {name: np.asarray(allowed.value) for name, allowed in self._allowed.items()}


def loosened(limits: Limits, feasible: FeasibleSet, slack: dict[str, Array]) -> Limits:
    """The limits with their slack, so that some mixture keeps them."""
    room, capped = limits.room.copy(), feasible.capped
    room[capped] += slack.get("room", 0.0)
    return replace(
        limits,
        lower=np.maximum(limits.lower - slack["lower"], 0.0),
        upper=np.minimum(limits.upper + slack["upper"], 1.0),
        bound=limits.bound + slack.get("bound", 0.0),
        room=room,
        budget=limits.budget + slack.get("budget", 0.0),
        change=limits.change + float(slack["change"][0] if "change" in slack else 0.0),
        divergence=limits.divergence
        + float(slack["divergence"][0] if "divergence" in slack else 0.0),
    )


def _slack_kinds(feasible: FeasibleSet) -> dict[str, Array]:
    """The kind of every inequality; -1 where no constraint but the simplex stands behind it."""
    last = KINDS.index("whole_run")
    kinds = {
        "lower": np.where(feasible.lower_owner == NOBODY, -1, feasible.lower_kind),
        "upper": np.where(feasible.upper_owner == NOBODY, -1, feasible.upper_kind),
        "bound": feasible.row_kind,
        "room": np.full(len(feasible.capped), last),
        "budget": np.full(len(feasible.budget), last),
        "change": np.full(int(np.isfinite(feasible.change)), KINDS.index("change")),
        "divergence": np.full(int(np.isfinite(feasible.divergence)), KINDS.index("change")),
    }
    return {name: kind for name, kind in kinds.items() if len(kind)}


def _parts(feasible: FeasibleSet, slack: dict[str, Any]) -> _Parts:
    """The feasible set over p and, where the whole run matters, over m."""
    cp = programs.load_cvxpy()
    size, capped = feasible.task.num_domains, feasible.capped
    mixture = cp.Variable(size)
    given = {"lower": cp.Parameter(size), "upper": cp.Parameter(size)}
    held = {"sum": cp.sum(mixture) == 1}
    rows, totals = len(feasible.bound), len(feasible.budget)
    if rows:
        given["bound"] = cp.Parameter(rows)
    later = cp.Variable(size) if len(capped) or totals else None
    for point, suffix in ((mixture, ""), (later, " later")):
        if point is None:
            continue
        if suffix:
            given["upper later"] = cp.Parameter(size)
            held["sum later"] = cp.sum(point) == 1
        held["lower" + suffix] = point >= given["lower"] - slack.get("lower", 0)
        held["upper" + suffix] = point <= given["upper" + suffix] + slack.get("upper", 0)
        if slack:
            held["positive" + suffix] = point >= 0
        if rows:
            held["bound" + suffix] = feasible.matrix @ point <= given["bound"] + slack.get(
                "bound", 0
            )
    if later is not None:
        given["weight"], given["rest"] = cp.Parameter(nonneg=True), cp.Parameter(nonneg=True)
        run = given["weight"] * mixture + given["rest"] * later
        if len(capped):
            given["room"] = cp.Parameter(len(capped))
            held["room"] = run[capped] <= given["room"] + slack.get("room", 0)
        if totals:
            given["budget"] = cp.Parameter(totals)
            held["budget"] = feasible.totals @ run <= given["budget"] + slack.get("budget", 0)
    if np.isfinite(feasible.change):
        given["previous"], given["change"] = cp.Parameter(size), cp.Parameter()
        moved = cp.norm1(mixture - given["previous"]) / 2
        held["change"] = moved <= given["change"] + slack.get("change", 0)
    if np.isfinite(feasible.divergence):
        given["log previous"], given["divergence"] = cp.Parameter(size), cp.Parameter()
        moved = programs.relative_entropy(mixture, given["log previous"])
        held["divergence"] = moved <= given["divergence"] + slack.get("divergence", 0)
    return _Parts(mixture, given, held)


def _fill(
    parts: _Parts, feasible: FeasibleSet, limits: Limits, upper: Array, previous: Array | None
) -> None:
    """Give every parameter its value; ``upper`` is that of p."""
    last = limits.lower if previous is None else previous
    values = {
        "lower": limits.lower,
        "upper": upper,
        "upper later": limits.upper,
        "bound": limits.bound,
        "weight": limits.weight,
        "rest": 1 - limits.weight,
        "room": limits.room[feasible.capped],
        "budget": limits.budget,
        "previous": last,
        "change": NO_CHANGE if previous is None else min(limits.change, NO_CHANGE),
        "log previous": np.log(np.maximum(last, FAINTEST)),
        "divergence": NO_DIVERGENCE if previous is None else limits.divergence,
    }
    for name, parameter in parts.parameters.items():
        parameter.value = values[name]
