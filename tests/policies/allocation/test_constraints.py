"""Constraints as data: their texts, their rows, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from policies.allocation import (
    Allocator,
    Change,
    Constraint,
    Cost,
    Epochs,
    Floor,
    Ratio,
    Row,
    Scope,
    Share,
)
from policies.policy import Task
from policies.synthetic import make_task


def named_task() -> Task:
    return replace(make_task(4), names=("en", "ro", "uk", "sw"), prior=np.full(4, 0.25))


@pytest.mark.parametrize(
    ("constraint", "text"),
    [
        (Share(of=["ro", "uk"], maximum=0.08), "Share(of=ro+uk, maximum=0.08)"),
        (Share(of="en", fixed=0.5), "Share(of=en, fixed=0.5)"),
        (Ratio(of="ro", to="uk", minimum=0.5), "Ratio(of=ro, to=uk, minimum=0.5)"),
        (Epochs(maximum=15), "Epochs(maximum=15)"),
        (Change(maximum=0.05), "Change(maximum=0.05)"),
        (Change(maximum=0.05, measure="kl"), "Change(maximum=0.05, measure=kl)"),
        (Floor(minimum=0.01), "Floor(minimum=0.01)"),
        (
            Cost(per_token={"en": 1.0, "uk": 2.5}, maximum_mean=2.0),
            "Cost(per_token={en: 1, uk: 2.5}, maximum_mean=2)",
        ),
    ],
)
def test_text_is_what_the_user_wrote(constraint: Constraint, text: str) -> None:
    assert constraint.describe() == text


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Share(of="en"), "Share must have either fixed or a minimum or maximum"),
        (lambda: Share(of="en", fixed=0.1, maximum=0.2), "must have either fixed or"),
        (lambda: Share(of="en", minimum=0.3, maximum=0.2), "Share.minimum must be at most its"),
        (lambda: Share(of="en", maximum=1.2), r"Share.maximum must be in \[0, 1\], got 1.2"),
        (lambda: Share(of="en", maximum=np.nan), r"Share.maximum must be in \[0, 1\], got nan"),
        (lambda: Share(of=[], maximum=0.5), "Share.of must name at least one"),
        (lambda: Ratio(of="en", to="uk"), "Ratio must have a minimum or a maximum"),
        (lambda: Ratio(of="en", to="uk", minimum=3, maximum=2), "Ratio.minimum must be at most"),
        (lambda: Epochs(maximum=-1), r"Epochs.maximum must be in \[0, 1e\+09\], got -1"),
        (lambda: Epochs(maximum=4, warn_at=5), r"Epochs.warn_at must be in \[0, 4\], got 5"),
        (lambda: Change(maximum=0), "Change.maximum must be in"),
        (lambda: Change(maximum=1, measure="l2"), "Change.measure must be 'total_variation' or"),  # type: ignore[arg-type]
        (lambda: Cost(per_token={"en": 1.0}), "Cost must have a maximum_mean or a budget"),
        (lambda: Cost(per_token={"en": 0.0}, budget=1.0), "must hold a price above zero"),
        (lambda: Cost(per_token={"en": -1.0}, budget=1.0), "Cost.per_token of 'en' must be in"),
        (lambda: Floor(minimum=-0.1), r"Floor.minimum must be in \[0, 1\], got -0.1"),
    ],
)
def test_settings_are_refused(make: Callable[[], Constraint], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("constraints", "groups", "message"),
    [
        ([Share(of="xx", maximum=0.1)], {}, r"Share\(of=xx, maximum=0.1\) must name .* got 'xx'"),
        ([Epochs(maximum=3, of="xx")], {}, "got 'xx'"),
        ([Cost(per_token={"xx": 1.0}, budget=1.0)], {}, "got 'xx'"),
        ([], {"a": ["b"], "b": ["ro", "a"]}, "must not lie within itself, got a > b > a"),
        ([], {"a": ["a"]}, "must not lie within itself, got a > a"),
        ([], {"a": ["ro", "xx"]}, "group 'a' must name domains or groups that exist .* got 'xx'"),
        ([], {"a": ["ro", "ro"]}, "group 'a' must count every domain once, got 'ro' twice"),
        ([], {"a": ["ro"], "b": ["a", "ro"]}, "group 'b' must count every domain once, got 'ro'"),
        ([], {"ro": ["uk"]}, "groups must not be named like a domain, got 'ro'"),
        ([], {"a": []}, "group 'a' must list at least one member"),
        ([], {"a": "ro"}, "group 'a' must list at least one member"),
        ([Share(of=["a", "ro"], maximum=0.1)], {"a": ["ro", "uk"]}, "once, got 'ro' twice"),
        ([Ratio(of="a", to="ro", maximum=1)], {"a": ["ro", "uk"]}, "both sides, got 'ro'"),
        (
            [Cost(per_token={"a": 1.0, "ro": 2.0}, budget=1.0)],
            {"a": ["ro", "uk"]},
            "once, got 'ro' twice",
        ),
    ],
)
def test_names_are_refused(
    constraints: list[Constraint], groups: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Allocator(constraints, groups, named_task())


def test_groups_of_groups_hold_all_their_domains() -> None:
    groups = {"world": ["europe", "sw"], "europe": ["ro", "uk"]}
    scope = Scope(named_task(), groups)
    np.testing.assert_array_equal(scope.members("world", "test"), [1, 2, 3])
    np.testing.assert_array_equal(scope.members(["europe", "en"], "test"), [0, 1, 2])


def test_third_parties_add_linear_constraints() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Twice(Constraint):
        of: str
        maximum: float

        def each_step(self, scope: Scope) -> list[Row]:
            domains = np.append(scope.members(self.of, self.describe()), 0)
            return [Row(domains, np.array([2.0, 1.0]), self.maximum, "maximum")]

    allocator = Allocator([Twice(of="uk", maximum=0.3)], {}, named_task())
    weights = allocator.allocate(np.full(4, 0.25), np.zeros(4), 0)
    assert 2 * weights.weights[2] + weights.weights[0] == pytest.approx(0.3, abs=1e-6)
    assert weights.binding[0][0] == "Twice(of=uk, maximum=0.3)"
