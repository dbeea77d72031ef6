"""Constraints as a configuration writes them."""

from __future__ import annotations

from typing import Any

import pytest

from policies.allocation import Change, Cost, Epochs, Floor, Ratio, Share
from trainer.written_constraints import read_constraints


def test_short_and_long_forms_say_the_same() -> None:
    short = read_constraints(
        [
            {"share": {"of": ["ro", "uk"], "maximum": 0.08}},
            {"ratio": {"of": "uk", "to": "ru", "minimum": 0.5}},
            {"epochs": 15},
            {"epochs": {"maximum": 4, "of": "ro", "warn_at": 3}},
            {"change": 0.05},
            {"cost": {"per_token": {"ro": 2}, "budget": 1e6}},
            {"floor": 0.01},
        ]
    )
    assert short == (
        Share(of=["ro", "uk"], maximum=0.08),
        Ratio(of="uk", to="ru", minimum=0.5),
        Epochs(maximum=15),
        Epochs(maximum=4, of="ro", warn_at=3),
        Change(maximum=0.05),
        Cost(per_token={"ro": 2}, budget=1e6),
        Floor(minimum=0.01),
    )
    long = read_constraints(
        [
            {"class_path": "Floor", "init_args": {"minimum": 0.01}},
            {"class_path": "policies.allocation.Change", "init_args": {"maximum": 0.05}},
        ]
    )
    assert long == (Floor(minimum=0.01), Change(maximum=0.05))


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (3, r"constraints\[0\] must be a mapping such as \{floor: 0.01\}, got 3"),
        ({"shaer": {}}, r"must be one of share, ratio, .*, got 'shaer'"),
        ({"floor": 1, "change": 2}, r"must be one constraint, .*, got the keys floor, change"),
        ({}, r"got the keys none"),
        ({"share": 0.1}, r"share takes settings such as \{of: sw, minimum: 0.005\}, got 0.1"),
        ({"share": {"of": "a", "maximun": 0.1}}, r"constraints\[0\].*'maximun'"),
        ({"share": {"of": "a", "maximum": "x"}}, r"constraints\[0\]: Share.maximum.*float"),
        ({"share": {"of": "a", "maximum": 1.5}}, r"Share.maximum must be in \[0, 1\], got 1.5"),
        ({"share": {"maximum": 0.5}}, r"required: Share.of"),
        ({"class_path": "Nope"}, r"class_path must be importable, got 'Nope'"),
        ({"class_path": "os.path"}, r"class_path must be a Constraint, got 'os.path'"),
        ({"class_path": "Floor", "minimum": 0.1}, r"keys class_path and init_args only.*'minimum'"),
    ],
)
def test_mistakes_are_told(entry: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_constraints([entry])
