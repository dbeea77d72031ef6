"""The policies that the simulator benchmark plays, with cadences for runs of 500 steps."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from policies import UCB, Policy, Proportional, Temperature, Uniform, UniMax
from policies.minimax.minimax_regret import MinimaxRegret
from policies.published.ado import ADO
from policies.published.aioli import Aioli
from policies.published.doge import DoGE
from policies.published.doremi import DoReMi
from policies.published.dump import DUMP
from policies.published.equitable import Equitable
from policies.published.gvm import GVM
from policies.published.odm import ODM
from policies.published.olmix import Olmix
from policies.published.pike import PiKE
from policies.published.regmix import RegMix
from policies.published.repetition_optimum import RepetitionOptimum
from policies.published.skill_it import SkillIt
from policies.published.tikmix_d import TiKMiXD
from policies.published.tikmix_m import TiKMiXM
from policies.published.velocitune import Velocitune
from policies.simulator.law import loss
from policies.simulator.scenario import Scenario
from policies.simulator.scenarios import load_scenario

MANY = "languages2000"
LEFT_OUT = {
    ("Aioli", MANY): "a round would take 2,000 intervals",
    ("Aioli released", MANY): "a round would take 2,000 intervals",
    ("Aioli centred", MANY): "a round would take 2,000 intervals",
    ("Olmix", MANY): "needs more finished runs than domains",
    ("RegMix", MANY): "needs more finished runs than domains",
    ("TiKMiXD", MANY): "its program grows with the cube of the domains",
    ("TiKMiXM", MANY): "one product per candidate and pair of domains",
}


def names() -> list[str]:
    return list(_MAKERS)


def make_policy(name: str, scenario: str) -> Policy:
    return _MAKERS[name](load_scenario(scenario))


def _aioli(scenario: Scenario, **settings: object) -> Policy:
    perturbed = 2 * scenario.num_domains
    return Aioli(
        sweeps=1, interval_steps=2, update_every=max(125, 2 * perturbed), focus=0.75, **settings
    )


def _ado(scenario: Scenario, counts: Literal["own", "total"]) -> Policy:
    return ADO(
        counts=counts,
        start_step=100,
        refit_every=100 if scenario.num_domains <= 200 else 250,
        ignore_steps=25,
        smoothing_window=25,
        subsample=2,
        unit="bits_per_byte",
    )


def _every(scenario: Scenario, steps: int) -> int:
    """Less often where there are thousands of domains and measuring is what takes the time."""
    return steps if scenario.num_domains <= 200 else 10 * steps


@lru_cache(maxsize=8)
def _finished_runs(scenario: Scenario) -> str:
    """A table of runs at random mixtures, twice as many as domains, and their true losses."""
    generator = np.random.default_rng(0)
    natural = scenario.unique_tokens / scenario.unique_tokens.sum()
    even = np.full(scenario.num_domains, 1 / scenario.num_domains)
    centre = np.sqrt(natural * even) / np.sqrt(natural * even).sum()
    runs = max(2 * scenario.num_domains, 32)
    mixtures = generator.dirichlet(scenario.num_domains * centre, runs)
    exposure = scenario.part_exposure.sum(axis=0)
    losses = np.array([loss(scenario, mixture * exposure) for mixture in mixtures])
    header = [f"weight:{name}" for name in scenario.domains]
    header += [f"loss:{name}" for name in scenario.domains]
    rows = [",".join(map(repr, row)) for row in np.hstack([mixtures, losses]).tolist()]
    path = Path(tempfile.mkdtemp(prefix="glotmix-simulator-")) / "runs.csv"
    path.write_text("\n".join([",".join(header), *rows]), encoding="utf-8")
    return str(path)


def _metrics(scenario: Scenario) -> dict[str, float]:
    return dict(zip(scenario.domains, scenario.target.tolist(), strict=True))


_MAKERS: dict[str, Callable[[Scenario], Policy]] = {
    "Uniform": lambda scenario: Uniform(),
    "Proportional": lambda scenario: Proportional(),
    "Temperature": lambda scenario: Temperature(),
    "UniMax": lambda scenario: UniMax(),
    "RepetitionOptimum": lambda scenario: RepetitionOptimum(),
    "Olmix": lambda scenario: Olmix(
        results=_finished_runs(scenario), metrics=_metrics(scenario), max_epochs=None
    ),
    "RegMix": lambda scenario: RegMix(
        results=_finished_runs(scenario),
        metrics=_metrics(scenario),
        samples=10_000,
        trees=200,
        rate=0.05,
    ),
    "UCB": lambda scenario: UCB(),
    "DUMP": lambda scenario: DUMP(unit="bits_per_byte"),
    "ODM": lambda scenario: ODM(unit="bits_per_byte"),
    "ODM exp3": lambda scenario: ODM(variant="exp3", unit="bits_per_byte"),
    "ODM released": lambda scenario: ODM(variant="released", unit="bits_per_byte"),
    "ADO": lambda scenario: _ado(scenario, counts="own"),
    "ADO total counts": lambda scenario: _ado(scenario, counts="total"),
    "SkillIt": lambda scenario: SkillIt(update_every=25, evaluate_every=25, unit="bits_per_byte"),
    "DoReMi": lambda scenario: DoReMi(eta=0.01),
    "DoGE": lambda scenario: DoGE(target="validation", update_every=_every(scenario, 1)),
    "PiKE": lambda scenario: PiKE(update_every=10, zeta1=0.002, zeta2=0.002),
    "PiKE balanced": lambda scenario: PiKE(
        update_every=10, zeta1=0.002, zeta2=0.002, tau=3.0, unit="bits_per_byte"
    ),
    "GVM": lambda scenario: GVM(update_every=10),
    "TiKMiXD": lambda scenario: TiKMiXD(),
    "TiKMiXM": lambda scenario: TiKMiXM(),
    "Velocitune": lambda scenario: Velocitune(update_every=_every(scenario, 25)),
    "Equitable": lambda scenario: Equitable(update_every=25, unit="bits_per_byte"),
    "Aioli": lambda scenario: _aioli(scenario, unit="bits_per_byte"),
    "Aioli released": lambda scenario: _aioli(
        scenario, variant="released", ema=0.1, unit="bits_per_byte"
    ),
    "Aioli centred": lambda scenario: _aioli(scenario, variant="centred", unit="bits_per_byte"),
    "MinimaxRegret": lambda scenario: MinimaxRegret(
        block=0.01 if scenario.num_domains <= 200 else 0.05
    ),
    "MinimaxRegret, no model": lambda scenario: MinimaxRegret(
        block=0.01 if scenario.num_domains <= 200 else 0.05, model="none"
    ),
    "MinimaxRegret, any target": lambda scenario: MinimaxRegret(
        block=0.01 if scenario.num_domains <= 200 else 0.05, ambiguity=np.inf, units="own"
    ),
}
