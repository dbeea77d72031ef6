"""One small, fast specimen of every policy there is, for checks that hold for all."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from policies import (
    UCB,
    Fixed,
    Policy,
    Proportional,
    Task,
    Temperature,
    Uniform,
    UniMax,
)
from policies.learned import Learned
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


def every_policy(task: Task, folder: Path) -> dict[str, Policy]:
    """A policy of every class, by the name of its class, for this task; may write to ``folder``.

    Cadences are short, so that each decides by what it has learnt within a few steps.
    """
    results, summary = _finished_runs(task, folder), _summary(task, folder)
    policies: list[Policy] = [
        ADO(
            start_step=1,
            refit_every=4,
            ignore_steps=0,
            smoothing_window=1,
            subsample=1,
            min_points=4,
        ),
        Aioli(update_every=task.num_domains + 2, sweeps=1, interval_steps=1, focus=1.0),
        DUMP(),
        DoGE(),
        DoReMi(),
        Equitable(update_every=2),
        Fixed(weights=dict(zip(task.names, task.target.tolist(), strict=True))),
        GVM(update_every=2),
        Learned(summary=summary),
        MinimaxRegret(block=1e-9, min_pairs=1),
        ODM(warmup=0.0),
        Olmix(results=results, max_epochs=None),
        PiKE(update_every=2),
        Proportional(),
        RegMix(results=results, samples=50, keep=4, trees=2),
        RepetitionOptimum(),
        SkillIt(update_every=2, evaluate_every=1),
        Temperature(),
        TiKMiXD(update_every=3, average_over=2),
        TiKMiXM(update_every=4, candidates=32, rounds=2, samples=32, keep=4, trees=5),
        UCB(),
        UniMax(),
        Uniform(),
        Velocitune(update_every=2, min_points=4),
    ]
    return {type(policy).__name__: policy for policy in policies}


def _finished_runs(task: Task, folder: Path) -> str:
    mixtures = np.random.default_rng(0).dirichlet(
        np.ones(task.num_domains), min(task.num_domains + 3, 60)
    )
    losses = 2 + mixtures.max(axis=1)
    names = ",".join(["loss:all", *(f"weight:{name}" for name in sorted(task.names))])
    rows = [",".join(map(repr, row)) for row in np.column_stack([losses, mixtures]).tolist()]
    path = folder / "runs.csv"
    path.write_text("\n".join([names, *rows]), encoding="utf-8")
    return str(path)


def _summary(task: Task, folder: Path) -> str:
    weights = zip(task.names, task.prior.tolist(), strict=True)
    domains = {name: {"mean_weight": weight, "weight": weight} for name, weight in weights}
    path = folder / "summary.json"
    path.write_text(json.dumps({"domains": domains}), encoding="utf-8")
    return str(path)
