"""``glotmix simulate``: policies tried on training runs that are a law instead of a network."""

from __future__ import annotations

import json
import re
from argparse import ArgumentError
from collections.abc import Mapping, Sequence
from pathlib import Path

import jsonargparse
import numpy as np

from policies import Policy, load_policies
from policies.simulator.play import Played, play, table
from policies.simulator.scenario import Scenario
from policies.simulator.scenarios import SCENARIOS, load_scenario

PLOT = "simulate.png"
TABLE = "simulate.md"
AREAS = 20


def run(words: list[str]) -> None:
    """Play the policies that the command line names, print a table and draw what happened.

    Raises:
        ValueError: A policy, the scenario or a number is unusable.
    """
    arguments = _parser().parse_args(words)
    if arguments.seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {arguments.seeds}")
    scenario = load_scenario(arguments.scenario)
    policies = named_policies(arguments.policy)
    if arguments.out is not None:
        _require_matplotlib()
    played = {
        name: [
            play(policy, scenario, seed, delay=arguments.delay) for seed in range(arguments.seeds)
        ]
        for name, policy in policies.items()
    }
    text = table(scenario, played)
    print(
        f"{scenario.name}: {scenario.num_domains} domains, {scenario.total_steps} steps; final "
        "held-out losses in bits per byte, those of the best mixture and plan each at its own best"
        f"\n\n{text}"
    )
    if arguments.out is not None:
        arguments.out.mkdir(parents=True, exist_ok=True)
        (arguments.out / TABLE).write_text(text + "\n", encoding="utf-8")
        draw(scenario, {name: runs[0] for name, runs in played.items()}, arguments.out / PLOT)


def _parser() -> jsonargparse.ArgumentParser:
    parser = jsonargparse.ArgumentParser(
        prog="glotmix simulate",
        description="Play policies through a simulated run and compare them with the best plan.",
    )
    parser.add_argument(
        "--policy",
        nargs="+",
        required=True,
        metavar="POLICY",
        help="policies, each a class name, a path of a class, or "
        '{"class_path": ..., "init_args": {...}}',
    )
    parser.add_argument("--scenario", default="english_rich", help=f"one of {', '.join(SCENARIOS)}")
    parser.add_argument("--seeds", type=int, default=3, help="seeds 0, 1, ... to play")
    parser.add_argument("--delay", type=int, default=1, help="steps that feedback arrives late")
    parser.add_argument("--out", type=Path | None, default=None, help=f"folder of {PLOT}")
    return parser


def named_policies(words: Sequence[str]) -> dict[str, Policy]:
    """Policies by what to call them: the name of the class and the settings that were given.

    Raises:
        ValueError: A word names no policy, or two name the same.
    """
    known = load_policies()
    found: dict[str, Policy] = {}
    for word in words:
        if word.isidentifier() and word not in known:
            raise ValueError(
                f"policy must be one of {', '.join(sorted(known))}, the path of a class, or "
                f'{{"class_path": ..., "init_args": {{...}}}}, got {word!r}'
            )
        name, policy = _policy(word)
        if name in found:
            raise ValueError(f"policy {name} is named twice; leave one out")
        found[name] = policy
    return found


def _policy(word: str) -> tuple[str, Policy]:
    """What to call a policy, and the policy."""
    parser = jsonargparse.ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(Policy, "policy", required=True)
    try:
        value = json.loads(word) if word.startswith("{") else word
        policy = parser.instantiate_classes(parser.parse_object({"policy": value})).policy
    except (ArgumentError, ValueError, TypeError) as error:
        raise ValueError(f"policy {word!r} cannot be made: {_reason(error)}") from error
    given = value.get("init_args", {}) if isinstance(value, Mapping) else {}
    settings = ", ".join(f"{key}={setting}" for key, setting in given.items())
    return type(policy).__name__ + (f"({settings})" if settings else ""), policy


def _reason(error: Exception) -> str:
    """The one line of a parser's many that says what is wrong."""
    text = " ".join(str(error).split())
    told = re.search(r"Errors: - (.*?)(?: Subclass types| - Expected a <class 'NoneType'>)", text)
    return told[1] if told else text


def _require_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ValueError(
            "--out needs matplotlib; install glotmix with the extra plots, or leave --out away"
        ) from error


def draw(scenario: Scenario, played: Mapping[str, Played], path: Path) -> None:
    """Draw each policy's weights over time, stacked, above the losses of its domains.

    Args:
        scenario: The scenario that was played.
        played: One run of each policy.
        path: The file to write.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.5 * len(played), 6.5), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, len(played), sharex=True, sharey="row", squeeze=False)
    # Areas of hundreds of domains would be hairlines; the widest stand for themselves, the rest
    # are one. A domain has the same colour and place beside every policy.
    widths = np.sum([one.mean_weights for one in played.values()], axis=0)
    widest = widths.argsort(kind="stable")[::-1][:AREAS]
    colours = matplotlib.colormaps["tab20"](range(len(widest)))
    for column, (name, one) in enumerate(played.items()):
        weights, losses = axes[:, column]
        rest = 1 - one.weights_path[:, widest].sum(axis=1)
        areas = weights.stackplot(
            one.steps, one.weights_path[:, widest].T, rest, colors=[*colours, "lightgrey"]
        )
        weights.set(title=name, ylim=(0, 1))
        counted = scenario.target > 0
        losses.plot(one.steps, one.losses_path[:, counted], linewidth=0.5, color="grey", alpha=0.5)
        losses.plot(one.steps, one.losses_path @ scenario.target, color="black", label="average")
        losses.set(xlabel="step", yscale="log")
        losses.set_title(
            f"average regret {one.average_regret:.4f}, worst {one.worst_regret:.4f} "
            f"({scenario.domains[one.worst_domain]})",
            fontsize="small",
        )
    axes[0, 0].set_ylabel("weights")
    axes[1, 0].set_ylabel("held-out loss, bits per byte")
    axes[1, 0].legend()
    names = [scenario.domains[domain] for domain in widest]
    figure.legend(areas[: len(names)], names, loc="outside right upper", fontsize="small")
    figure.suptitle(scenario.name)
    figure.savefig(path, dpi=120)
