"""Small scenarios to try the simulator on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from policies.signals import Array
from policies.simulator.scenario import Scenario
from policies.simulator.scenarios import load_scenario
from policies.simulator.transfer import Transfer


def small(
    number: int = 4, *, tau: Array | None = None, parts: int = 1, **changes: object
) -> Scenario:
    """A scenario of a few domains and 40 steps; related unless ``tau`` says otherwise."""
    base = load_scenario("english_rich")
    generator = np.random.default_rng(number)
    if tau is None:
        tau = generator.uniform(0, 0.5, (number, number))
        np.fill_diagonal(tau, 1.0)
    share = 40 * base.tokens_per_step / number
    scenario = replace(
        base,
        name="small",
        domains=tuple(f"s{place}" for place in range(number)),
        unique_tokens=share / np.geomspace(0.5, 32, number),
        transfer=Transfer.from_dense(tau),
        start_tokens=share / 300,
        target=np.full(number, 1 / number),
        usefulness=generator.uniform(0.2, 1, (parts, number))
        if parts > 1
        else np.ones((1, number)),
        total_steps=40,
        **{
            field: getattr(base, field)[1 : number + 1]
            for field in ("floor", "gain", "alpha", "decay", "noise", "bytes_per_token")
        },
    )
    return replace(scenario, **changes)
