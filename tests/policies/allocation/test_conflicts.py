"""Contradictions that are found before the run, told by what the user wrote."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from policies.allocation import Allocator, Change, Constraint, Cost, Epochs, Floor, Ratio, Share
from policies.synthetic import make_task

TASK = replace(make_task(6), names=("en", "ro", "uk", "sw", "it", "pl"))
TASK = replace(TASK, unique_tokens=np.full(6, TASK.total_tokens / 6))


def conflict(constraints: Sequence[Constraint]) -> str:
    with pytest.raises(ValueError, match="must leave at least one mixture") as caught:
        Allocator(constraints, {"few": ["ro", "uk", "it", "pl"]}, TASK).check()
    return str(caught.value).split(": ", 1)[1]


def test_five_minima_that_add_to_more_than_one() -> None:
    minima = [Share(of=name, minimum=0.21) for name in ("en", "ro", "uk", "sw", "it")]
    harmless = [Change(maximum=0.1), Share(of="pl", maximum=0.5), Floor(minimum=0.001)]
    assert conflict([*harmless[:1], *minima, *harmless[1:]]) == ", ".join(
        constraint.describe() for constraint in minima
    )


@pytest.mark.parametrize(
    ("constraints", "text"),
    [
        (
            [Floor(minimum=0.01), Epochs(maximum=0, of="sw"), Share(of="sw", minimum=0.1)],
            "Epochs(maximum=0, of=sw), Share(of=sw, minimum=0.1)",
        ),
        ([Floor(minimum=0.2), Share(of="en", maximum=0.9)], "Floor(minimum=0.2)"),
        (
            [Share(of="few", maximum=0.08), Share(of="ro", minimum=0.1), Epochs(maximum=9)],
            "Share(of=few, maximum=0.08), Share(of=ro, minimum=0.1)",
        ),
        ([Epochs(maximum=0.9), Floor(minimum=0.01)], "Epochs(maximum=0.9)"),
        (
            [Ratio(of="en", to="ro", maximum=1), Share(of="en", fixed=0.6)],
            "Ratio(of=en, to=ro, maximum=1), Share(of=en, fixed=0.6)",
        ),
        (
            [
                Cost(per_token={"en": 2.0}, budget=0.5 * TASK.total_tokens),
                Share(of="en", minimum=0.3),
            ],
            "Cost(per_token={en: 2}, budget=4.096e+06), Share(of=en, minimum=0.3)",
        ),
    ],
)
def test_smallest_conflict_is_named(constraints: list[Constraint], text: str) -> None:
    assert conflict(constraints) == text


def test_what_just_fits_is_no_conflict() -> None:
    Allocator([], {}, TASK).check()
    Allocator([Floor(minimum=1 / 6), Epochs(maximum=1), Change(maximum=0.01)], {}, TASK).check()
