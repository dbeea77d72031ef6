"""``glotmix simulate``: policies tried on training runs that are a law instead of a network."""

from __future__ import annotations

import json
from argparse import ArgumentError
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jsonargparse

from policies import Policy, load_policies
from policies.simulator.play import play, table
from policies.simulator.scenarios import SCENARIOS, load_scenario
from trainer.parsing import reason
from trainer.simulation_picture import draw

PLOT = "simulate.png"
TABLE = "simulate.md"
LEGEND = """Losses are final held-out ones in bits per byte, averaged over languages by the target.
average regret: above the average loss of the best mixture (or plan, one mixture for each part of
the run), which the first rows have, each column at its own best.
worst regret: the largest distance of a language, the one named, from the lowest loss it could have
had if the whole run had been its own.
signals: how often one was measured. seconds: of the policy alone. \u00b1: a 95 % interval."""


def run(words: list[str]) -> None:
    """Play the policies that the command line names, print a table and draw what happened.

    Raises:
        ValueError: A policy, the scenario or a number is unusable.
    """
    for word in words:
        if word.startswith("--policy."):
            raise ValueError(
                f"settings of a policy come with it, as --policy "
                f'{{"class_path": "UCB", "init_args": {{"gamma": 0.9}}}}, got {word}; '
                "glotmix fit --policy.help NAME lists what a policy takes"
            )
    arguments = _parser().parse_args(words)
    if arguments.seeds < 1:
        raise ValueError(f"seeds must be at least 1, got {arguments.seeds}")
    scenario = load_scenario(arguments.scenario)
    policies = named_policies(arguments.policy)
    if arguments.out is not None:
        _prepare(arguments.out)
    played = {
        name: [
            play(policy, scenario, seed, delay=arguments.delay) for seed in range(arguments.seeds)
        ]
        for name, policy in policies.items()
    }
    text = table(scenario, played)
    print(
        f"{scenario.name}: {scenario.num_domains} domains, {scenario.total_steps} steps, "
        f"{arguments.seeds} seeds\n\n{text}\n\n{LEGEND}"
    )
    if arguments.out is not None:
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
    value = _settings(word) if word.startswith("{") else word
    try:
        policy = parser.instantiate_classes(parser.parse_object({"policy": value})).policy
    except (ArgumentError, ValueError, TypeError) as error:
        raise ValueError(f"policy {word!r} cannot be made: {reason(error)}") from error
    given = value.get("init_args", {}) if isinstance(value, Mapping) else {}
    settings = ", ".join(f"{key}={setting}" for key, setting in given.items())
    return type(policy).__name__ + (f"({settings})" if settings else ""), policy


def _settings(word: str) -> dict[str, Any]:
    """A policy given as JSON.

    Raises:
        ValueError: It is no JSON, or has other keys than it may have.
    """
    form = '{"class_path": "NAME", "init_args": {"SETTING": VALUE, ...}}'
    try:
        value = json.loads(word)
    except json.JSONDecodeError as error:
        raise ValueError(f"policy must be JSON like {form}, got {word!r}: {error}") from error
    if "class_path" not in value or set(value) - {"class_path", "init_args"}:
        raise ValueError(f"policy must have the keys of {form}, got {word!r}")
    known = load_policies().get(value["class_path"])
    wrong = set(value.get("init_args", {})) - set(getattr(known, "__dataclass_fields__", ()))
    if known is not None and wrong:
        raise ValueError(
            f"policy {known.__name__} has no setting {', '.join(sorted(wrong))}; it has "
            f"{', '.join(known.__dataclass_fields__)}"
        )
    return dict(value)


def _prepare(out: Path) -> None:
    """Refuse what could not be written or drawn before anything is played."""
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ValueError(
            "--out needs matplotlib; install glotmix with the extra plots, or leave --out away"
        ) from error
    try:
        out.mkdir(parents=True, exist_ok=True)
        (out / TABLE).touch()
    except OSError as error:
        raise ValueError(f"out must be a folder that can be written to: {error}") from error
