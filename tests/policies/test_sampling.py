"""The mixtures computed from the sizes of domains alone."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.optimize import brentq

from policies import Policy, Proportional, Task, Temperature, Uniform, UniMax
from policies.signals import Array
from policies.synthetic import make_task

SIZES = st.lists(st.floats(1, 1e12), min_size=1, max_size=30).map(np.array)


def task_of(unique_tokens: Array, budget: int = 10**9) -> Task:
    task = replace(make_task(len(unique_tokens)), unique_tokens=unique_tokens)
    return replace(task, total_steps=1, tokens_per_step=budget)


def weights(policy: Policy, task: Task) -> Array:
    return policy.decide(policy.init(task), 0).weights


def test_temperature_lies_between_uniform_and_proportional() -> None:
    task = make_task(50)
    np.testing.assert_allclose(weights(Temperature(alpha=0), task), weights(Uniform(), task))
    np.testing.assert_allclose(weights(Temperature(alpha=1), task), weights(Proportional(), task))


def test_temperature_by_hand() -> None:
    np.testing.assert_allclose(
        weights(Temperature(alpha=0.5), task_of(np.array([1.0, 4.0, 49.0]))), [0.1, 0.2, 0.7]
    )


@pytest.mark.parametrize("alpha", [-0.1, 1.1, np.nan])
def test_temperature_refuses(alpha: float) -> None:
    with pytest.raises(ValueError, match=r"alpha must be in \[0, 1\], got"):
        Temperature(alpha=alpha)


@pytest.mark.parametrize("epochs", [0.0, -1.0, np.nan, np.inf])
def test_unimax_refuses(epochs: float) -> None:
    with pytest.raises(ValueError, match="max_epochs must be positive and finite, got"):
        UniMax(max_epochs=epochs)


def test_unimax_agrees_with_another_implementation() -> None:
    """The worked example of the package unimax-sampling: five languages, four epochs."""
    sizes = np.array([179955884499.0, 184595788282.0, 42541080893.0, 10027573389.0, 549707867.0])
    found = weights(UniMax(max_epochs=4), task_of(sizes, 250_000_000_000))
    expected = [0.27692116663, 0.27692116663, 0.2769211666346, 0.160441174224, 0.008795325872]
    np.testing.assert_allclose(found, expected, atol=1e-10)


@given(SIZES, st.integers(1, 10**13), st.floats(0.1, 100))
def test_unimax_is_water_filling(sizes: Array, budget: int, epochs: float) -> None:
    """Below the total of the caps the answer is min(level, cap) with the level solved for."""
    caps = epochs * sizes
    assume(budget < caps.sum() * (1 - 1e-9))
    level = brentq(lambda level: np.minimum(level, caps).sum() - budget, 0, caps.max(), rtol=1e-14)
    found = weights(UniMax(max_epochs=epochs), task_of(sizes, budget))
    np.testing.assert_allclose(found, np.minimum(level, caps) / budget, rtol=1e-6, atol=1e-12)


@given(SIZES, st.integers(1, 10**13), st.floats(0.1, 100))
def test_unimax_properties(sizes: Array, budget: int, epochs: float) -> None:
    task = task_of(sizes, budget)
    found = weights(UniMax(max_epochs=epochs), task)
    caps = epochs * sizes
    assert found.sum() == pytest.approx(1)
    rising = found[np.argsort(sizes, kind="stable")]
    assert (np.diff(rising) >= -1e-12).all()
    if budget <= caps.sum():
        assert (found * budget <= caps * (1 + 1e-9)).all()
    else:
        np.testing.assert_allclose(found, weights(Proportional(), task), rtol=1e-9)
    if budget <= len(sizes) * caps.min():
        np.testing.assert_allclose(found, 1 / len(sizes))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unique_tokens": np.array([1.0, 0.0])}, "unique_tokens must be positive"),
        ({"prior": np.array([0.5, 0.4])}, "prior must sum to one, got 0.9"),
        ({"target": np.array([1.5, -0.5])}, "target of 'd0001' must be finite"),
        ({"names": ("en", "en")}, "names must be different"),
        ({"prior": np.ones(1)}, r"prior must have shape \(2,\), got \(1,\)"),
    ],
)
def test_task_refuses(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(make_task(2), **change)
