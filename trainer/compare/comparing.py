"""``glotmix compare``: plans the runs, trains what is not trained yet, and tells the outcome."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from importlib.util import find_spec
from pathlib import Path

from mixer.lock import locked
from policies import Policy, Signal
from trainer.compare.cluster import ClusterJobs
from trainer.compare.execution import Launcher, Work, last_line, run_all
from trainer.compare.local import local_jobs
from trainer.compare.outcome import Outcome, read_outcome
from trainer.compare.pilot import STEPS, pilot_policy, prices
from trainer.compare.plan import plan
from trainer.compare.plot import draw
from trainer.compare.records import run_record, standing_record, write_records
from trainer.compare.runs import Run, configured
from trainer.compare.settings import Comparison, read_comparison
from trainer.compare.standings import standings
from trainer.compare.table import render
from trainer.compare.tasks import Tasks, make_policy

TABLE, POLICIES, RUNS, PLOT = "table.md", "table.csv", "runs.csv", "compare.png"
# Of the rehearsals and the pilot: all seeds of a policy train for the same number of steps.
_PLANNING_SEED = 0


def run(words: list[str]) -> None:
    """Run the comparison that the command line names.

    Raises:
        ValueError: The comparison is unusable, or some runs failed; the table is of the others.
    """
    comparison, out = read_comparison(words)
    with locked(out / "jobs"):
        compare(comparison, out)


def compare(comparison: Comparison, out: Path) -> None:
    """Train what is not trained yet and write tables and picture to a folder.

    Raises:
        ValueError: The comparison is unusable, or some runs failed; the table is of the others.
    """
    tasks = Tasks(comparison.run)
    policies = {name: make_policy(name, comparison.policy(name)) for name in comparison.policies}
    launcher = _launcher(comparison, out)
    budget = budget_of(comparison, tasks)
    runs = plan_runs(comparison, policies, tasks, budget, launcher, out)
    # What cannot be gone on with is told before anything is trained.
    todo = {key: one for key, one in runs.items() if one.stage() != "finished"}
    if len(todo) < len(runs):
        print(f"{len(runs) - len(todo)} of {len(runs)} runs are finished already", flush=True)
    failed = _train(todo, launcher)
    if comparison.test:
        untested = [
            one
            for key, one in runs.items()
            if key not in failed and not (one.folder / "test.json").is_file()
        ]
        failed |= _test(untested, runs, launcher)
    _tell(comparison, budget, runs, set(failed), out)
    if failed:
        raise ValueError(
            f"{len(failed)} of {len(runs)} runs failed and are not in the table; the same command "
            "tries them again"
        )


def _launcher(comparison: Comparison, out: Path) -> Launcher:
    if comparison.submitit is not None:
        return ClusterJobs(comparison.submitit, out / "jobs", comparison.jobs)
    return local_jobs(comparison.run, comparison.jobs)


def budget_of(comparison: Comparison, tasks: Tasks) -> float:
    """The total cost of every run, tokens.

    Raises:
        ValueError: Neither budget_tokens nor trainer.max_steps says it.
    """
    if comparison.budget_tokens is not None:
        return comparison.budget_tokens
    steps = (comparison.run.get("trainer") or {}).get("max_steps")
    if not isinstance(steps, int) or steps < 1:
        raise ValueError(
            f"budget_tokens or run.trainer.max_steps must be given and positive, got {steps}"
        )
    return float(steps * tasks.tokens_per_step)


def plan_runs(
    comparison: Comparison,
    policies: Mapping[str, Policy],
    tasks: Tasks,
    budget: float,
    launcher: Launcher,
    out: Path,
) -> dict[tuple[str, int], Run]:
    """The runs by policy and seed, seed by seed, so that pairs are complete early.

    Raises:
        ValueError: The budget is too small for a policy, a policy does not fit the corpus, or a
            signal cannot be measured.
    """
    wanted = sorted({signal for policy in policies.values() for signal in policy.signals})
    found = _prices(comparison, wanted, launcher, out) if wanted else {}
    steps = {}
    for name, policy in policies.items():
        try:
            planned = plan(policy, lambda length: tasks.of(length, _PLANNING_SEED), found, budget)
        except ValueError as error:
            raise ValueError(f"policies.{name}: {error}") from error
        steps[name] = planned.steps
        part = planned.cost / budget
        print(f"{name}: {planned.steps:,} steps, {part:.1%} of the budget", flush=True)
    runs = {}
    for seed in comparison.seeds:
        for name in policies:
            folder = out / name / f"seed-{seed}"
            document = configured(
                comparison.run, comparison.policy(name), seed, steps[name], folder
            )
            runs[name, seed] = Run(f"{name}, seed {seed}", folder, document)
    return runs


def _prices(
    comparison: Comparison, wanted: Iterable[Signal], launcher: Launcher, out: Path
) -> dict[Signal, float]:
    """What the signals cost in runs of this configuration.

    Raises:
        ValueError: One cannot be measured.
    """
    folder = out / "pilot"
    document = configured(comparison.run, pilot_policy(wanted), _PLANNING_SEED, STEPS, folder)
    # Nothing but the price counts; a pilot must not wait for a validation.
    document["trainer"] |= {"limit_val_batches": 0, "logger": False}
    pilot = Run("pilot", folder, document)
    if pilot.stage() != "finished":
        print(f"pilot: what {', '.join(wanted)} cost", flush=True)
        with closing(run_all([_work(pilot)], launcher)) as through:
            (done,) = through
        if done.code or pilot.stage() != "finished":
            raise ValueError(
                "the signals that the policies ask for cannot be measured: "
                f"{last_line(pilot.log)}; all of it in {pilot.log}"
            )
    return prices(folder)


def _work(one: Run) -> Work:
    return Work(one.name, one.prepare, one.log)


def _train(todo: Mapping[tuple[str, int], Run], launcher: Launcher) -> set[tuple[str, int]]:
    """Train runs to their end; returns those that failed."""
    keys = {one.name: key for key, one in todo.items()}
    failed, count = set(), 0
    with closing(run_all([_work(one) for one in todo.values()], launcher)) as through:
        for done in through:
            count += 1
            key = keys[done.work.name]
            one = todo[key]
            if done.code == 0 and one.stage() == "finished":
                outcome = read_outcome(*key, one.folder)
                said = (
                    f"mean {outcome.mean:.4f}, worst {outcome.worst_name} {outcome.worst:.4f}, "
                    f"{done.seconds:.0f} s"
                )
            else:
                failed.add(key)
                said = f"failed with status {done.code}: {last_line(one.log)}; see {one.log}"
            print(f"[{count}/{len(todo)}] {one.name}: {said}", flush=True)
    return failed


def _test(
    untested: Sequence[Run], runs: Mapping[tuple[str, int], Run], launcher: Launcher
) -> set[tuple[str, int]]:
    """Measure trained runs on the test split; returns those for which that failed."""
    keys = {one.name: key for key, one in runs.items()}
    failed = set()
    works = [Work(one.name, one.prepare_test, one.folder / "test.log") for one in untested]
    with closing(run_all(works, launcher)) as through:
        for done in through:
            if done.code:
                failed.add(keys[done.work.name])
                said = f"status {done.code}: {last_line(done.work.log)}; see {done.work.log}"
                print(f"{done.work.name}: testing failed with {said}", flush=True)
    return failed


def _tell(
    comparison: Comparison,
    budget: float,
    runs: Mapping[tuple[str, int], Run],
    failed: set[tuple[str, int]],
    out: Path,
) -> None:
    """Write and print what came of the runs."""
    outcomes: dict[str, list[Outcome]] = {name: [] for name in comparison.policies}
    missing: dict[str, list[int]] = {name: [] for name in comparison.policies}
    for (name, seed), one in runs.items():
        if (name, seed) in failed:
            missing[name].append(seed)
        else:
            outcomes[name].append(read_outcome(name, seed, one.folder))
    found = standings(outcomes, missing, comparison.baseline)
    text = render(found, comparison.baseline, budget)
    (out / TABLE).write_text(text + "\n", encoding="utf-8")
    write_records(out / POLICIES, [standing_record(one, budget) for one in found])
    every = [run_record(outcome) for several in outcomes.values() for outcome in several]
    write_records(out / RUNS, every)
    print(f"\n{text}\n", flush=True)
    if find_spec("matplotlib") is None:
        print(f"no {PLOT}: install glotmix with the extra plots, and run the same command again")
    else:
        draw(found, comparison.baseline, out / PLOT)
