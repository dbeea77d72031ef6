"""Scenarios by name. In all of them rare languages would be read many times at equal shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from policies.repetition import SINGLE_SOURCE_DECAY
from policies.signals import Array
from policies.simulator.scenario import Scenario
from policies.simulator.transfer import Transfer


@cache
def load_scenario(name: str) -> Scenario:
    """A scenario by its name; the same object each time.

    Raises:
        ValueError: There is no such scenario.
    """
    if name not in SCENARIOS:
        raise ValueError(f"scenario must be one of {', '.join(SCENARIOS)}, got {name!r}")
    return SCENARIOS[name]()


def english_rich() -> Scenario:
    """English in plenty beside 19 scarcer languages in four families; English helps all a little.

    At equal shares the rarest is read 64 times, English a fraction of once. Relatives help each
    other a lot in the first two families, little in the others.
    """
    family = np.concatenate([[4], np.arange(19) % 4])
    tau = _families(family, inside=np.array([0.8, 0.5, 0.2, 0.05, 0.0])[family], outside=0.02)
    tau[1:, 0] = 0.05
    epochs = np.concatenate([[0.05], np.geomspace(0.25, 64, 19)])
    names = ("en", *(f"f{group}_{place:02d}" for place, group in enumerate(family[1:])))
    return _scenario("english_rich", names, epochs, Transfer.from_dense(tau), seed=1)


def independent() -> Scenario:
    """Eight domains with the same curve that do nothing for each other and differ only in size."""
    names = tuple(f"d{place}" for place in range(8))
    transfer = Transfer.from_dense(np.eye(8))
    return _scenario("independent", names, np.geomspace(0.5, 64, 8), transfer, seed=None)


def negative_transfer() -> Scenario:
    """Ten languages in two groups that help their own and harm the other. Not convex."""
    tau = _families(np.arange(10) % 2, inside=0.3, outside=-0.08)
    names = tuple(f"{'ab'[place % 2]}{place // 2}" for place in range(10))
    transfer = Transfer.from_dense(tau)
    return _scenario("negative_transfer", names, np.geomspace(0.25, 16, 10), transfer, seed=2)


def poisoned() -> Scenario:
    """Eleven languages and one plentiful source of noise that nobody wants and that helps nobody.

    Its loss is by far the highest and hardly falls, a trap for rules that go after high losses.
    """
    tau = _families(np.arange(12) % 3, inside=0.3, outside=0.05)
    tau[0], tau[:, 0], tau[0, 0] = 0.0, 0.0, 1.0
    names = ("poison", *(f"l{place:02d}" for place in range(1, 12)))
    epochs = np.concatenate([[0.25], np.geomspace(0.25, 64, 11)])
    scenario = _scenario("poisoned", names, epochs, Transfer.from_dense(tau), seed=3)
    is_poison = np.arange(12) == 0
    return replace(
        scenario,
        floor=np.where(is_poison, 7.5, scenario.floor),
        gain=np.where(is_poison, 0.5, scenario.gain),
        noise=np.where(is_poison, 2 * scenario.noise, scenario.noise),
        target=np.where(is_poison, 0.0, 1 / 11),
    )


def drifting() -> Scenario:
    """Eight languages, half of which teach little in the first half of the run, half in the second.

    No fixed mixture is as good as a plan; the learning rate falls as a cosine.
    """
    names = tuple(f"{'ab'[place % 2]}{place // 2}" for place in range(8))
    tau = _families(np.arange(8) // 2, inside=0.3, outside=0.05)
    even = np.arange(8) % 2 == 0
    usefulness = np.stack([np.where(even, 1.0, 0.2), np.where(even, 0.2, 1.0)])
    scenario = _scenario("drifting", names, np.geomspace(0.25, 32, 8), Transfer.from_dense(tau), 4)
    return replace(scenario, usefulness=usefulness, schedule="cosine")


def zipf100() -> Scenario:
    """A hundred languages of Zipf sizes in twelve families; the learning rate falls as a cosine."""
    epochs = 64 * (np.arange(1, 101) / 100) ** 1.2
    generator = np.random.default_rng(100)
    tau = _families(generator.integers(0, 12, 100), inside=0.3, outside=0.01)
    names = tuple(f"l{place:03d}" for place in range(100))
    scenario = _scenario("zipf100", names, epochs, Transfer.from_dense(tau), seed=5)
    return replace(scenario, schedule="cosine", sequences_per_step=256, **_budget(scenario, 256))


def languages2000() -> Scenario:
    """Two thousand languages of Zipf sizes, each helped by a few relatives and five large ones."""
    generator = np.random.default_rng(2000)
    place = np.arange(2000)
    family = generator.integers(0, 200, 2000)
    rows, columns = np.nonzero((family[:, None] == family) & (place[:, None] != place))
    hub_rows, hub_columns = (one.ravel() for one in np.meshgrid(place, np.arange(5)))
    new = (hub_rows != hub_columns) & (family[hub_rows] != family[hub_columns])
    transfer = Transfer(
        num_domains=2000,
        rows=np.concatenate([rows, hub_rows[new]]),
        columns=np.concatenate([columns, hub_columns[new]]),
        values=np.concatenate([np.full(len(rows), 0.3), np.full(int(new.sum()), 0.002)]),
    )
    epochs = 64 * ((place + 1) / 2000) ** 1.1
    names = tuple(f"l{one:04d}" for one in place)
    scenario = _scenario("languages2000", names, epochs, transfer, seed=6)
    return replace(scenario, sequences_per_step=2048, **_budget(scenario, 2048))


SCENARIOS: dict[str, Callable[[], Scenario]] = {
    make.__name__: make
    for make in (
        english_rich,
        independent,
        negative_transfer,
        poisoned,
        drifting,
        zipf100,
        languages2000,
    )
}


def _families(family: NDArray[np.int64], *, inside: Array | float, outside: float) -> Array:
    """A transfer matrix with one value between relatives, or (k,), and one between the others."""
    tau = np.where(family[:, None] == family, inside, outside)
    np.fill_diagonal(tau, 1.0)
    return tau


def _scenario(
    name: str, domains: tuple[str, ...], epochs: Array, transfer: Transfer, seed: int | None
) -> Scenario:
    """A scenario of 500 steps whose domains are read ``epochs`` times at equal shares.

    An untrained model costs 8 bits per byte. Curves differ between domains unless seed is None.
    """
    number = len(domains)
    spread = np.zeros((4, number))
    if seed is not None:
        spread = np.random.default_rng(seed).uniform(-1, 1, (4, number))
    floor = 0.8 + 0.2 * spread[0]
    share = 500 * 64 * 1024 / number
    return Scenario(
        name=name,
        domains=domains,
        unique_tokens=share / epochs,
        transfer=transfer,
        floor=floor,
        gain=8 - floor,
        alpha=0.3 + 0.1 * spread[1],
        start_tokens=share / 300,
        decay=np.full(number, SINGLE_SOURCE_DECAY),
        noise=0.3 + 0.1 * spread[2],
        bytes_per_token=4 + 1.5 * spread[3],
        target=np.full(number, 1 / number),
        usefulness=np.ones((1, number)),
    )


def _budget(scenario: Scenario, sequences_per_step: int) -> dict[str, Any]:
    """What has to grow with the batch for the epochs to stay as they are."""
    factor = sequences_per_step / scenario.sequences_per_step
    return {
        "unique_tokens": scenario.unique_tokens * factor,
        "start_tokens": scenario.start_tokens * factor,
    }
