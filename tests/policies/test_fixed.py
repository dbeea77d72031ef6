from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from policies import Fixed
from policies.signals import Array
from policies.synthetic import make_task

TASK = replace(make_task(3), names=("am", "sw", "yo"))


def path(policy: Fixed, steps: list[int]) -> Array:
    state = policy.init(TASK)
    return np.array([policy.decide(state, step).weights for step in steps])


def test_constant_weights_by_name_in_any_order() -> None:
    found = path(Fixed(weights={"yo": 0.75, "am": 0.25}), [0, 1000])
    np.testing.assert_array_equal(found, [[0.25, 0, 0.75]] * 2)


def test_schedule_keeps_each_mixture_until_the_next() -> None:
    policy = Fixed(weights={10: {"yo": 1.0}, 0: {"am": 1.0}})
    found = path(policy, [0, 9, 10, 11])
    np.testing.assert_array_equal(found, [[1, 0, 0], [1, 0, 0], [0, 0, 1], [0, 0, 1]])


def test_schedule_moves_in_straight_lines() -> None:
    schedule = {0: {"am": 1.0}, 10: {"yo": 1.0}, 20: {"sw": 1.0}}
    found = path(Fixed(weights=schedule, interpolate="linear"), [0, 5, 10, 15, 20, 30])
    expected = [[2, 0, 0], [1, 0, 1], [0, 0, 2], [0, 1, 1], [0, 2, 0], [0, 2, 0]]
    np.testing.assert_allclose(2 * found, expected)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({}, "weights must name at least one domain or step, got nothing"),
        ({"am": 0.5, "yo": 0.6}, "weights must sum to one, got 1.1"),
        ({"am": -0.5, "yo": 1.5}, "weights of 'am' must be finite and not negative, got -0.5"),
        ({"am": float("nan")}, "weights of 'am' must be finite and not negative, got nan"),
        ({5: {"am": 1.0}}, "weights must start at step 0, got 5"),
        ({-1: {"am": 1.0}, 0: {"am": 1.0}}, "weights must start at step 0, got -1"),
        ({0: {"am": 1.0}, 5: {"yo": 2.0}}, "weights at step 5 must sum to one, got 2"),
        ({0: {"am": 1.0}, 5: {}}, "weights at step 5 must sum to one, got 0"),
        ({0: {"am": 1.0}, "am": 1.0}, "weights must be all numbers or all mixtures"),
    ],
)
def test_refused_when_written(weights: dict[Any, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Fixed(weights=weights)


def test_unknown_interpolation_is_refused() -> None:
    with pytest.raises(ValueError, match="interpolate must be 'step' or 'linear', got 'cubic'"):
        Fixed(weights={"am": 1.0}, interpolate="cubic")  # type: ignore[arg-type]


def test_unknown_domain_is_refused_before_training() -> None:
    message = r"weights at step 5 must name domains of the corpus \(am, sw, yo\), got 'ha'"
    with pytest.raises(ValueError, match=message):
        Fixed(weights={0: {"am": 1.0}, 5: {"ha": 1.0}}).init(TASK)
