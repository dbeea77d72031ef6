"""A policy played through a scenario, and measured against the best there was."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from policies.feedback import Feedback
from policies.policy import Policy
from policies.signals import Array
from policies.simplex import check_weights
from policies.simulator.optimum import Optimum, find_optimum
from policies.simulator.run import Simulation
from policies.simulator.scenario import Scenario

COLUMNS = ("average loss", "average regret", "worst regret", "signals", "seconds")


class Played(NamedTuple):
    """What came of a run; losses are true held-out ones in bits per byte.

    Attributes:
        losses: Of each domain at the end, shape (k,).
        average_loss: Weighted by the target.
        average_regret: Average loss above that of the best plan.
        worst_regret: Largest regret of a domain that the target counts: its loss less the best it
            could have had.
        worst_domain: Which domain that is.
        mean_weights: Shape (k,).
        steps: The m steps that the two paths show, shape (m,).
        weights_path: Mean weights from the step before until each of them, shape (m, k).
        losses_path: Losses after them, shape (m, k).
        measured: Signals asked for and measured.
        seconds: Spent by the policy.
    """

    losses: Array
    average_loss: float
    average_regret: float
    worst_regret: float
    worst_domain: int
    mean_weights: Array
    steps: NDArray[np.int64]
    weights_path: Array
    losses_path: Array
    measured: int
    seconds: float


def play(
    policy: Policy, scenario: Scenario, seed: int = 0, *, delay: int = 1, points: int = 100
) -> Played:
    """Play a policy through a whole run.

    Args:
        policy: The policy.
        scenario: The scenario.
        seed: Seed of the noise and of the policy.
        delay: Steps that feedback arrives late, one in real training.
        points: Steps to keep of the paths, at most.

    Raises:
        ValueError: The policy cannot be played, or its weights are not a mixture.
    """
    if delay < 0:
        raise ValueError(f"delay must not be negative, got {delay}")
    if points < 1:
        raise ValueError(f"points must be at least 1, got {points}")
    optimum = find_optimum(scenario)
    simulation = Simulation(scenario, seed)
    kept = np.unique(np.linspace(0, scenario.total_steps - 1, points).round().astype(np.int64))
    keep = set(kept.tolist())
    weights_path: list[Array] = []
    losses_path: list[Array] = []
    total: Array = np.zeros(scenario.num_domains)
    shown = total
    waiting: deque[Feedback] = deque()
    measured, seconds, began = 0, 0.0, time.perf_counter()
    state = policy.init(simulation.task)
    for step in range(scenario.total_steps):
        decision = policy.decide(state, step)
        seconds += time.perf_counter() - began
        weights = check_weights(decision.weights, scenario.domains, f"weights at step {step}")
        waiting.append(simulation.step(weights, decision.signals))
        measured += len(decision.signals)
        total = total + weights
        if step in keep:
            since = step - (kept[len(weights_path) - 1] if weights_path else -1)
            weights_path.append((total - shown) / since)
            shown = total
            losses_path.append(simulation.losses)
        began = time.perf_counter()
        if len(waiting) > delay:
            state = policy.update(state, waiting.popleft())
    losses = simulation.losses
    regret = np.where(scenario.target > 0, losses - optimum.alone, -np.inf)
    average = float(scenario.target @ losses)
    return Played(
        losses=losses,
        average_loss=average,
        average_regret=average - optimum.average_planned.value,
        worst_regret=float(regret.max()),
        worst_domain=int(regret.argmax()),
        mean_weights=total / scenario.total_steps,
        steps=kept,
        weights_path=np.array(weights_path),
        losses_path=np.array(losses_path),
        measured=measured,
        seconds=seconds,
    )


def table(scenario: Scenario, played: Mapping[str, Sequence[Played]]) -> str:
    """Several policies' runs of one scenario as a Markdown table, the best there was on top.

    Numbers are means over seeds, with half a 95 % confidence interval (Student's t) where there
    are several.
    """
    optimum = find_optimum(scenario)
    rows = [("", *COLUMNS), ("---",) + ("---:",) * len(COLUMNS), *_best_rows(scenario, optimum)]
    for name, runs in played.items():
        average, regret, worst = (
            interval([getattr(run, field) for run in runs])
            for field in ("average_loss", "average_regret", "worst_regret")
        )
        domain = scenario.domains[_most_frequent([run.worst_domain for run in runs])]
        signals = np.mean([run.measured for run in runs])
        seconds = np.mean([run.seconds for run in runs])
        cells = (name, average, regret, f"{worst} {domain}", f"{signals:.0f}", f"{seconds:.2f}")
        rows.append(cells)
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        first, *numbers = zip(row, widths, strict=True)
        aligned = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in numbers)]
        lines.append("| " + " | ".join(aligned) + " |")
    return "\n".join(lines)


def _best_rows(scenario: Scenario, optimum: Optimum) -> list[tuple[str, ...]]:
    """Best mixture and best plan, each column at its own best."""
    sort = "best" if scenario.convex else "best found"
    rows: list[tuple[str, ...]] = []
    best = [("mixture", optimum.average_fixed.value, optimum.worst_fixed.value)]
    if scenario.num_parts > 1:  # With one part the best plan is the best mixture.
        best.append(("plan", optimum.average_planned.value, optimum.worst_planned.value))
    for name, average, worst in best:
        regret = average - optimum.average_planned.value
        cells = (f"{average:.4f}", f"{regret:.4f}", f"{worst:.4f}", "", "")
        rows.append((f"{sort} {name}", *cells))
    return rows


def interval(values: Sequence[float]) -> str:
    """Mean and half a 95 % confidence interval (Student's t), where there are several values."""
    mean = float(np.mean(values))
    if len(values) < 2:
        return f"{mean:.4f}"
    from scipy.stats import t

    half = t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{mean:.4f} ± {half:.4f}"


def _most_frequent(domains: Sequence[int]) -> int:
    return int(np.bincount(domains).argmax())
