"""Every policy through every simulated scenario: average and worst-language regret.

``python benchmarks/simulator.py [--seeds 20] [--scenarios NAME ...] [--policies NAME ...]``

Runs go to a file as they finish, so that an interrupted benchmark goes on where it stopped; delete
``runs/simulator.json`` to start anew.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from environment import describe
from simulator_policies import LEFT_OUT, make_policy, names

from policies.simulator.optimum import find_optimum
from policies.simulator.play import interval, play
from policies.simulator.scenarios import SCENARIOS, load_scenario

RESULTS = Path(__file__).parent / "results" / "simulator.md"
RUNS = Path(__file__).parents[1] / "runs" / "simulator.json"

Run = tuple[str, str, int]
Figures = dict[str, dict[str, dict[str, list[float]]]]


def measure(run: Run) -> list[float]:
    """Average regret, worst regret, seconds of the policy, signals asked for."""
    scenario, name, seed = run
    played = play(make_policy(name, scenario), load_scenario(scenario), seed)
    return [played.average_regret, played.worst_regret, played.seconds, float(played.measured)]


def pending(figures: Figures, scenarios: list[str], policies: list[str], seeds: int) -> list[Run]:
    return [
        (scenario, name, seed)
        for scenario in scenarios
        for name in policies
        if (name, scenario) not in LEFT_OUT
        for seed in range(seeds)
        if str(seed) not in figures[scenario][name]
    ]


def fill_in(figures: Figures, runs: list[Run]) -> None:
    # One thread per process: many small products are slower on several.
    os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(os.cpu_count(), mp_context=spawn) as pool:
        for number, (run, values) in enumerate(zip(runs, pool.map(measure, runs), strict=True)):
            scenario, name, seed = run
            figures[scenario][name][str(seed)] = values
            if number % 20 == 19 or number == len(runs) - 1:
                RUNS.parent.mkdir(exist_ok=True)
                RUNS.write_text(json.dumps(figures))
                print(f"{number + 1}/{len(runs)} {scenario} {name}", flush=True)


def section(scenario: str, runs: dict[str, dict[str, list[float]]]) -> Iterator[str]:
    setting, best = load_scenario(scenario), find_optimum(load_scenario(scenario))
    yield f"## {scenario}\n"
    yield (SCENARIOS[scenario].__doc__ or "").strip().replace("\n    ", "\n") + "\n"
    yield (
        f"{setting.num_domains} domains, {setting.total_steps} steps. The best fixed mixture has "
        f"an average regret of {best.average_fixed.value - best.average_planned.value:.4f}; the "
        f"least possible worst regret is {best.worst_fixed.value:.4f} for a fixed mixture, "
        f"{best.worst_planned.value:.4f} for a plan"
        + ("" if setting.convex else " (best found: not convex)")
        + ".\n"
    )
    yield "| policy | average regret | worst regret | signals | policy's time, s |"
    yield "|---|---:|---:|---:|---:|"
    ordered = sorted(runs, key=lambda name: float(np.mean([one[0] for one in runs[name].values()])))
    for name in ordered:
        average, worst, seconds, measured = map(list, zip(*runs[name].values(), strict=True))
        yield (
            f"| `{name}` | {interval(average)} | {interval(worst)} | {np.mean(measured):.0f} "
            f"| {np.median(seconds):.2f} |"
        )
    left_out = [f"`{name}` ({why})" for (name, where), why in LEFT_OUT.items() if where == scenario]
    if left_out:
        yield "\nNot played: " + "; ".join(left_out) + "."
    yield ""


def report(figures: Figures) -> str:
    seeds = max(len(runs) for by_name in figures.values() for runs in by_name.values())
    lines = [
        "# Policies in the simulator\n",
        describe(),
        f"Bits per byte, mean and 95 % interval (Student's t) over {seeds} seeds; sorted by the "
        "average. *Average regret*: mean final held-out loss above that of the best plan. *Worst "
        "regret*: the largest distance of a language from the lowest loss it could have had if the "
        "whole run had been its own. All start from UniMax with at most 4 epochs; cadences are "
        "scaled to runs of 500 steps (`benchmarks/simulator_policies.py`). *Signals*: how often "
        "one was measured; their tokens are not part of the regret. `Olmix` and `RegMix` were "
        "given the losses of finished runs beforehand. A law is not a network: what wins here "
        "still has to win in training.\n",
    ]
    for scenario in SCENARIOS:
        if figures.get(scenario):
            lines += section(scenario, figures[scenario])
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--scenarios", nargs="+", default=list(SCENARIOS), choices=list(SCENARIOS))
    parser.add_argument("--policies", nargs="+", default=names(), choices=names())
    arguments = parser.parse_args()
    figures: Figures = defaultdict(lambda: defaultdict(dict))
    if RUNS.exists():
        for scenario, by_name in json.loads(RUNS.read_text()).items():
            for name, runs in by_name.items():
                figures[scenario][name] = runs
    runs = pending(figures, arguments.scenarios, arguments.policies, arguments.seeds)
    print(f"{len(runs)} runs to play", flush=True)
    fill_in(figures, runs)
    RESULTS.write_text(report(figures), encoding="utf-8")


if __name__ == "__main__":
    main()
