"""What policies cost: the time to decide and to hear, at 20 and at 2,000 domains.

``python benchmarks/policy_cost.py [--policies DoGE ...] [--out benchmarks/results/policy_cost.md]``
"""

from __future__ import annotations

import argparse
import gc
import time
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from environment import describe
from simulator_policies import LEFT_OUT, MANY, make_policy, names

from policies import Policy, Signal, Task
from policies.published.doge import DoGE
from policies.signals import GradientSketches
from policies.simulator.scenarios import load_scenario
from policies.synthetic import make_feedback, make_signals, make_task

RESULTS = Path(__file__).parent / "results" / "policy_cost.md"
SCENARIO_OF = {20: "english_rich", 2000: MANY}
# As long as the trainer makes them by default; and enough of them to be gone from caches by the
# time that their turn comes again, few enough to be kept for a whole run.
SKETCH_SIZE = 1024
SKETCHES = 4
# Steps that take this many times the median solve a program or fit a law.
HEAVY = 20.0


class Cost(NamedTuple):
    """Milliseconds per step.

    Attributes:
        alone: Median of steps that follow each other at once.
        between: Median of steps between which other code makes up the feedback, so that caches
            are cold, as they are in training.
        longest: Of the latter.
        heavy: How many of the latter take more than 20 medians.
    """

    alone: float
    between: float
    longest: float
    heavy: float


@lru_cache(maxsize=1)
def make_sketches(num_domains: int) -> list[GradientSketches]:
    """Gradients that agree in part, of domains that were all in the batch."""
    generator = np.random.default_rng(num_domains)
    common = generator.normal(size=SKETCH_SIZE)
    shape = (2 * SKETCHES, num_domains, SKETCH_SIZE)
    gradients = common + generator.normal(size=shape)
    return [GradientSketches(*pair) for pair in gradients.reshape(SKETCHES, 2, *shape[1:])]


def make_timed_policy(name: str, scenario: str) -> Policy:
    """As the simulator plays it, but with the cadence of its paper where that is what it costs."""
    policy = make_policy(name, scenario)
    return replace(policy, update_every=1) if isinstance(policy, DoGE) else policy


def measure(policy: Policy, task: Task, steps: int) -> Cost:
    """Decide and update through a run, then once more through the same feedback."""
    sketches = make_sketches(task.num_domains)
    state, spent, heard = policy.init(task), [], []
    gc.disable()
    for step in range(steps):
        began = time.perf_counter()
        decision = policy.decide(state, step)
        middle = time.perf_counter()
        feedback = make_feedback(task, decision.weights, step)
        if decision.signals:
            signals = dict(make_signals(task, step))
            signals[Signal.GRADIENT_ALIGNMENT] = sketches[step % SKETCHES]
            asked = {kind: signals[kind] for kind in decision.signals}
            feedback = replace(feedback, signals=asked)
        again = time.perf_counter()
        state = policy.update(state, feedback)
        spent.append(middle - began + time.perf_counter() - again)
        heard.append(feedback)
    state, alone = policy.init(task), []
    for step, feedback in enumerate(heard):
        began = time.perf_counter()
        policy.decide(state, step)
        state = policy.update(state, feedback)
        alone.append(time.perf_counter() - began)
    gc.enable()
    times = 1e3 * np.array(spent)
    median = float(np.median(times))
    heavy = int((times > HEAVY * median).sum())
    return Cost(1e3 * float(np.median(alone)), median, float(times.max()), heavy)


def middle(rounds: list[Cost]) -> Cost:
    """The median of each figure over rounds."""
    return Cost(*(float(np.median(figures)) for figures in zip(*rounds, strict=True)))


def rows(only: list[str], num_domains: int, steps: int, rounds: int) -> list[str]:
    scenario = SCENARIO_OF[num_domains]
    task = make_task(num_domains, total_steps=steps)
    chosen = [name for name in names() if name in only and (name, scenario) not in LEFT_OUT]
    costs: dict[str, list[Cost]] = {name: [] for name in chosen}
    for _ in range(rounds):  # One after the other, so that a busy minute meets all of them.
        for name in chosen:
            costs[name].append(measure(make_timed_policy(name, scenario), task, steps))
    lines = [
        f"## {num_domains:,} domains\n",
        "| policy | median, alone | median, between other work | longest | beyond 20 medians |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, found in costs.items():
        cost = middle(found)
        lines.append(
            f"| `{name}` | {cost.alone:.3f} | {cost.between:.3f} | {cost.longest:.1f} "
            f"| {cost.heavy:.0f} |"
        )
        print(lines[-1], flush=True)
    return [*lines, ""]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--steps", type=int, default=300, help="steps at 20 domains")
    parser.add_argument("--many_steps", type=int, default=120, help="steps at 2,000 domains")
    parser.add_argument("--rounds", type=int, default=7, help="runs of each policy")
    known = [name for name in names() if name not in ("Olmix", "RegMix")]
    parser.add_argument("--policies", nargs="+", choices=known, default=known, metavar="NAME")
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    for scenario in SCENARIO_OF.values():
        load_scenario(scenario)
    text = [
        "# What policies cost\n",
        describe(),
        "`decide` and `update` of every step of a made-up run, in milliseconds, each figure the "
        f"median over {arguments.rounds} rounds through all policies; what it takes to "
        "measure a signal is not counted. *Alone*: steps follow each other at once; *between other "
        "work*: other code has filled the caches meanwhile, as in training. Rules that solve a "
        "program or fit a law pay for it in few steps, which the last columns show; how often is a "
        "setting of each. Settings as in "
        "`benchmarks/simulator_policies.py`, but `DoGE` hears gradients in every step at 2,000 "
        f"domains, too; gradients are sketches of {SKETCH_SIZE:,} numbers. Aim for steps without a "
        "solver: 0.2 ms at 20 domains, 5 ms at 2,000.\n",
        *rows(arguments.policies, 20, arguments.steps, arguments.rounds),
        *rows(arguments.policies, 2000, arguments.many_steps, arguments.rounds),
    ]
    arguments.out.write_text("\n".join(text), encoding="utf-8")


if __name__ == "__main__":
    main()
