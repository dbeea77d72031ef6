"""What it takes to make a mixture feasible, per step, by the kinds and the number of constraints.

``python benchmarks/allocation.py [--steps 200] [--out benchmarks/results/allocation.md]``
"""

from __future__ import annotations

import argparse
import gc
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import numpy as np
from environment import describe

from policies.allocation import Allocator, Change, Constraint, Epochs, Floor, Ratio, Share
from policies.allocation.projection import Projection
from policies.policy import Task
from policies.signals import Array
from policies.synthetic import make_task

RESULTS = Path(__file__).parent / "results" / "allocation.md"
SIZES = (20, 100, 1000, 2000)
# Of a run that has read this part of its tokens.
PLAYED = 0.3


class Case(NamedTuple):
    """Constraints under a name, and the groups they name.

    Attributes:
        name: For the table.
        constraints: What every step must keep.
        groups: Members by name.
        follows: Whether the proposal is the last mixture, so that nothing binds.
    """

    name: str
    constraints: list[Constraint]
    groups: dict[str, list[str]]
    follows: bool = False


def make_run(size: int) -> Task:
    """1,000 steps over domains that hold between 0.3 and 3 times an even share of the run."""
    task = make_task(size, total_steps=1000)
    spread = np.exp(np.linspace(np.log(0.3), np.log(3), size))
    return replace(task, unique_tokens=spread * task.total_tokens / size)


def cases(task: Task) -> Iterator[Case]:
    names, size = list(task.names), task.num_domains
    quarter = max(size // 4, 1)
    apart = {f"g{i}": names[i * quarter : (i + 1) * quarter] for i in range(4)}
    over = {f"o{i}": names[i * size // 6 : i * size // 6 + size // 3] for i in range(4)}
    floor = Floor(minimum=0.1 / size)
    yield Case("nothing binds: minima", [Floor(minimum=0.01 / size)], {}, True)
    yield Case(
        "nothing binds: minima, epochs, change",
        [Floor(minimum=0.01 / size), Epochs(maximum=4), Change(maximum=0.1)],
        {},
        True,
    )
    yield Case("minima and maxima", [floor, Share(of=names[0], maximum=0.8 / size)], {})
    yield Case("minima and epochs", [floor, Epochs(maximum=1.5)], {})
    disjoint: list[Constraint] = [Share(of="g0", maximum=0.1), Share(of="g1", minimum=0.4)]
    yield Case("disjoint groups", [floor, *disjoint], apart)
    number = max(size // 5, 1)
    many = {f"m{i}": names[i::number] for i in range(number)}
    both = [Share(of=of, minimum=0.8 / number, maximum=1.1 / number) for of in many]
    yield Case("disjoint groups of five", [floor, *both], many)
    yield Case("change", [floor, Change(maximum=0.05)], {})
    yield Case("change in KL", [floor, Change(maximum=0.005, measure="kl")], {})
    yield Case("change and epochs", [floor, Change(maximum=0.05), Epochs(maximum=1.5)], {})
    coupled: list[Constraint] = [
        Share(of="o0", maximum=0.3),
        Share(of="o1", minimum=0.35),
        Share(of="o2", maximum=0.4),
        Ratio(of="o3", to="o0", minimum=1.1),
    ]
    yield Case("overlapping groups, ratio, epochs", [floor, Epochs(maximum=2), *coupled], over)
    yield Case(
        "the same and change",
        [floor, Epochs(maximum=2), Change(maximum=0.1), *coupled],
        over,
    )


def measure(allocator: Allocator, case: Case, task: Task, steps: int) -> tuple[Array, str]:
    """Microseconds of each step, and how most of the mixtures were found."""
    generator = np.random.default_rng(0)
    begin = int(PLAYED * task.total_steps)
    previous: Array = np.full(task.num_domains, 1 / task.num_domains)
    drawn = previous * begin * task.tokens_per_step
    spent, ways = [], Counter[str]()
    gc.disable()
    for step in range(begin, begin + steps):
        proposal = previous
        if not case.follows:
            proposal = generator.dirichlet(np.ones(task.num_domains))
        began = time.perf_counter()
        found = allocator.allocate(proposal, drawn, step, previous)
        spent.append(time.perf_counter() - began)
        if found.failures or found.relaxed:
            raise RuntimeError(f"{case.name} must be feasible, got {found.how}, {found.relaxed}")
        ways[found.how] += 1
        previous, drawn = found.weights, drawn + found.weights * task.tokens_per_step
    gc.enable()
    return 1e6 * np.array(spent[1:]), ways.most_common(1)[0][0]


class Ready(NamedTuple):
    """A case with what was paid once for it, in seconds."""

    case: Case
    allocator: Allocator
    compiled: float
    checked: float


def make_ready(case: Case, task: Task) -> Ready:
    began = time.perf_counter()
    allocator = Allocator(case.constraints, case.groups, task)
    compiled = time.perf_counter() - began
    allocator.check()  # Loads SciPy where nothing has.
    began = time.perf_counter()
    allocator.check()
    return Ready(case, allocator, compiled, time.perf_counter() - began)


def time_of_programs(case: Case, task: Task) -> str:
    """Median of some steps with the convex program alone, microseconds."""
    alone = mock.patch.multiple(
        Projection, _closed_form=lambda *_: None, _by_multipliers=lambda *_: None
    )
    with alone:
        other = Allocator(case.constraints, case.groups, task)
        times, _ = measure(other, case, task, max(3, min(20, 4000 // task.num_domains)))
    return f"{np.median(times):,.0f}"


def rows(task: Task, steps: int, rounds: int) -> Iterator[str]:
    """Lines of the table; what is solved otherwise is solved as a program, too."""
    ready = [make_ready(case, task) for case in cases(task)]
    # All cases in every round: a machine that is slow for a while is so for all of them.
    played = [
        [measure(one.allocator, one.case, task, steps) for one in ready] for _ in range(rounds)
    ]
    for one, found in zip(ready, zip(*played, strict=True), strict=True):
        parts = np.array([np.percentile(times, (25, 50, 75)) for times, _ in found])
        low, middle, high = np.median(parts, axis=0)
        how = found[0][1]
        solved = how in ("closed form", "multipliers")
        program = time_of_programs(one.case, task) if solved else ""
        yield (
            f"| {one.case.name} | {how} | {middle:,.0f} | {low:,.0f} to {high:,.0f} "
            f"| {parts[:, 1].min():,.0f} | {program} | {1e3 * one.compiled:.1f} "
            f"| {1e3 * one.checked:.1f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=200, help="steps of each round")
    parser.add_argument("--rounds", type=int, default=15, help="runs through the same steps")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    text = [
        "# What it takes to make a mixture feasible\n",
        describe(),
        "`Allocator.allocate` of every step of a made-up run whose proposals have nothing to do "
        f"with each other, in microseconds: median and quartiles, each the median of "
        f"{arguments.rounds} rounds, and the median of the quietest round. *Program*: the same "
        "steps with the convex program alone, compiled before. *Compile* and *check* are paid "
        "once per run, in milliseconds.\n",
    ]
    for size in SIZES:
        task = make_run(size)
        text += [
            f"## {size:,} domains\n",
            "| constraints | how | median | quartiles | quietest | program | compile, ms "
            "| check, ms |",
            "|---|---|---:|---:|---:|---:|---:|---:|",
        ]
        for row in rows(task, arguments.steps, arguments.rounds):
            text.append(row)
            print(size, row, flush=True)
        text.append("")
    arguments.out.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
