from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest
from small_scenarios import small

from policies.simulator.run import Simulation
from policies.simulator.scenario import Scenario
from policies.simulator.transfer import Transfer


def test_lists_do_as_well_as_arrays() -> None:
    scenario = small()
    lists: dict[str, Any] = {
        field.name: getattr(scenario, field.name).tolist()
        for field in fields(Scenario)
        if isinstance(getattr(scenario, field.name), np.ndarray)
    }
    assert set(lists) >= {"unique_tokens", "target", "usefulness", "noise"}
    other = replace(scenario, domains=list(scenario.domains), **lists)
    first, second = (Simulation(one).step(np.full(4, 0.25)) for one in (scenario, other))
    np.testing.assert_array_equal(first.sequence_loss, second.sequence_loss)
    assert other.task().names == scenario.domains


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"domains": []}, "domains must name at least one domain, got none"),
        ({"unique_tokens": np.zeros(4)}, "unique_tokens must be finite and positive, got 0.0"),
        ({"noise": np.full(4, -1.0)}, "noise must be finite and not negative, got -1.0"),
        ({"alpha": [1.0, 1.0]}, r"alpha must have shape \(4,\), got \(2,\)"),
        ({"alpha": ["much"] * 4}, "alpha must be an array of numbers: could not convert"),
        ({"floor": [1.0, [2.0]]}, "floor must be an array of numbers: "),
        ({"target": [0.5, 0.5, 0.5, 0.5]}, "target must sum to one, got 2"),
        ({"memorisation": 1.0}, r"memorisation must be in \[0, 1\), got 1.0"),
        ({"schedule": "linear"}, "schedule must be 'constant' or 'cosine', got 'linear'"),
        ({"usefulness": np.ones((3, 4))}, "total_steps must be a multiple of the 3 parts"),
        ({"usefulness": [1.0, 1.0, 1.0, 1.0]}, r"usefulness must have shape \(g, 4\), got \(4,\)"),
        ({"usefulness": -np.ones((1, 4))}, "usefulness must be finite"),
        ({"start_tokens": 0.0}, "start_tokens must be positive"),
        ({"gradient_noise": -1.0}, "gradient_noise must not be negative"),
        ({"total_steps": 0}, "total_steps must be at least 1"),
        ({"transfer": np.eye(4)}, "transfer must be a Transfer, got ndarray; Transfer.from_dense"),
        ({"transfer": Transfer.from_dense(np.eye(3))}, "transfer must be between 4 domains"),
    ],
)
def test_what_makes_no_sense_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(small(), **change)
