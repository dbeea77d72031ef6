from __future__ import annotations

import inspect
import json
import sys
import types
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from typing import Any

import pytest
from jsonargparse import ArgumentParser

import policies.registry
from policies import UCB, Fixed, Policy, Task, Temperature, Uniform, load_policies
from policies.signals import Array
from policies.static import Static

Install = Callable[..., None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Pretends that a package with these policies and entry points is installed."""

    def pretend(points: dict[str, str], **members: Any) -> None:
        module = types.ModuleType("someone_elses")
        for name, member in members.items():
            setattr(module, name, member)
        monkeypatch.setitem(sys.modules, "someone_elses", module)
        found = [EntryPoint(name, value, policies.registry.GROUP) for name, value in points.items()]
        monkeypatch.setattr(policies.registry, "entry_points", lambda group: found)

    return pretend


@dataclass(frozen=True, kw_only=True)
class Newcomer(Static):
    def mixture(self, task: Task) -> Array:
        return task.target


def test_built_in_policies_have_short_names() -> None:
    assert {"UCB", "Fixed", "Proportional", "Temperature", "UniMax", "Uniform"} <= set(
        load_policies()
    )


def test_entry_points_are_found(install: Install) -> None:
    install({"Newcomer": "someone_elses:Newcomer"}, Newcomer=Newcomer)
    assert load_policies()["Newcomer"] is Newcomer


def test_collision_names_both(install: Install, monkeypatch: pytest.MonkeyPatch) -> None:
    # Not with a real built-in one: a second class of its name would outlive this test.
    monkeypatch.setattr(policies.registry, "BUILT_IN", (Newcomer,))
    other = type("Newcomer", (Newcomer,), {"__module__": "someone_elses"})
    install({"Newcomer": "someone_elses:Newcomer"}, Newcomer=other)
    message = r"two policies are called Newcomer: test_registry\.Newcomer and someone_elses\.New"
    with pytest.raises(ValueError, match=message):
        load_policies()


@pytest.mark.parametrize(
    ("value", "error", "message"),
    [
        ("someone_elses:Missing", ImportError, "cannot be imported: .*Missing"),
        ("no_such_module:Newcomer", ImportError, "cannot be imported: No module named"),
        ("someone_elses:function", ValueError, "must be a policy that can be instantiated"),
        ("someone_elses:Static", ValueError, "must be a policy that can be instantiated"),
        ("someone_elses:dict", ValueError, "must be a policy that can be instantiated"),
        ("someone_elses:Temperature", ValueError, "must be called Temperature, as its class is"),
    ],
)
def test_bad_entry_point_is_named(
    install: Install, value: str, error: type[Exception], message: str
) -> None:
    install({"Newcomer": value}, function=len, Static=Static, dict=dict, Temperature=Temperature)
    with pytest.raises(error, match=f"entry point Newcomer = .*{message}"):
        load_policies()


@pytest.mark.parametrize("policy", load_policies().values())
def test_policies_are_final(policy: type[Policy]) -> None:
    assert getattr(policy, "__final__", False), "a concrete policy is not derived from"
    for base in policy.__mro__[1:]:
        assert base is object or inspect.isabstract(base) or base.__module__ == "abc"


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ("Uniform", Uniform()),
        ({"class_path": "UCB", "init_args": {"gamma": 0.9}}, UCB(gamma=0.9)),
        ({"class_path": "policies.Temperature", "init_args": {"alpha": 1}}, Temperature(alpha=1)),
        (
            {"class_path": "Fixed", "init_args": {"weights": {"en": 0.5, "sw": 0.5}}},
            Fixed(weights={"en": 0.5, "sw": 0.5}),
        ),
        (
            {"class_path": "Fixed", "init_args": {"weights": {"0": {"en": 1}, "9": {"sw": 1}}}},
            Fixed(weights={0: {"en": 1.0}, 9: {"sw": 1.0}}),
        ),
    ],
)
def test_configuration_by_short_name(config: Any, expected: Policy) -> None:
    parser = ArgumentParser(exit_on_error=False)
    parser.add_argument("--policy", type=Policy)
    parsed = parser.parse_object({"policy": config})
    assert parser.instantiate(parsed).policy == expected
    again = parser.parse_object(json.loads(parser.dump(parsed, format="json")))
    assert parser.instantiate(again).policy == expected
