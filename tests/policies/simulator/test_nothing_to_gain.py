"""Where all domains are alike and none helps another, no learner strays beyond noise."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from policies import UCB, Policy, load_policies
from policies.minimax.minimax_regret import MinimaxRegret
from policies.published.ado import ADO
from policies.published.aioli import Aioli
from policies.published.doge import DoGE
from policies.published.doremi import DoReMi
from policies.published.dump import DUMP
from policies.published.equitable import Equitable
from policies.published.gvm import GVM
from policies.published.odm import ODM
from policies.published.pike import PiKE
from policies.published.skill_it import SkillIt
from policies.published.tikmix_d import TiKMiXD
from policies.published.tikmix_m import TiKMiXM
from policies.published.velocitune import Velocitune
from policies.simulator.play import play
from policies.simulator.scenario import Scenario
from policies.simulator.scenarios import load_scenario

LEARNERS: dict[str, Policy] = {
    "ADO": ADO(start_step=100, refit_every=100, ignore_steps=25, smoothing_window=25, subsample=5),
    "Aioli": Aioli(update_every=125, sweeps=2, interval_steps=2),
    "Aioli released": Aioli(
        variant="released", ema=0.1, update_every=125, sweeps=2, interval_steps=2
    ),
    "Aioli centred": Aioli(variant="centred", update_every=125, sweeps=2, interval_steps=2),
    "DUMP": DUMP(),
    "DoGE": DoGE(target="validation", update_every=5),
    "DoReMi": DoReMi(eta=0.01),
    "Equitable": Equitable(update_every=50),
    "GVM": GVM(update_every=10),
    "MinimaxRegret": MinimaxRegret(),
    "MinimaxRegret, worst language": MinimaxRegret(ambiguity=np.inf, units="own"),
    "ODM": ODM(),
    "ODM exp3": ODM(variant="exp3"),
    "ODM released": ODM(variant="released"),
    "PiKE": PiKE(update_every=10, zeta1=0.002, zeta2=0.002),
    "SkillIt": SkillIt(update_every=50, evaluate_every=50),
    "TiKMiXD": TiKMiXD(),
    "TiKMiXM": TiKMiXM(candidates=128, samples=256, trees=50),
    "UCB": UCB(),
    "Velocitune": Velocitune(update_every=25),
}


@cache
def alike() -> Scenario:
    """Eight domains with one curve and more text of each than the run can read."""
    scenario = load_scenario("independent")
    plenty = np.full(scenario.num_domains, 500.0 * scenario.tokens_per_step)
    return replace(scenario, name="alike", unique_tokens=plenty)


def test_no_learner_is_left_out() -> None:
    learners = {
        name
        for name, policy in load_policies().items()
        if policy.update is not Policy.update and name != "Fixed"
    }
    assert learners == {name.split()[0].rstrip(",") for name in LEARNERS}


@pytest.mark.parametrize("name", LEARNERS)
def test_learner_stays_near_uniform(name: str) -> None:
    runs = [play(LEARNERS[name], alike(), seed) for seed in range(2)]
    strayed = [np.abs(run.mean_weights - 1 / 8).sum() / 2 for run in runs]
    assert np.mean(strayed) < 0.08
    assert np.mean([run.average_regret for run in runs]) < 0.008


def test_a_rule_that_chases_noise_would_fail() -> None:
    runs = [
        play(MinimaxRegret(caution=0.0, inertia=0.1, max_change=2.0), alike(), seed)
        for seed in range(2)
    ]
    strayed = [np.abs(run.mean_weights - 1 / 8).sum() / 2 for run in runs]
    assert np.mean(strayed) > 0.08
