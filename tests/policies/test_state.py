from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from policies import restore, to_plain


class Inner(NamedTuple):
    mean: Any
    seen: Any = False


class Outer(NamedTuple):
    inner: Any
    step: Any
    rate: Any


def plain_only(value: object) -> bool:
    if isinstance(value, dict):
        return all(type(key) is str and plain_only(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(plain_only, value))
    return type(value) in (bool, int, float)


@given(
    mean=hnp.arrays(
        st.sampled_from([np.float64, np.float32, np.int64, np.uint8, np.bool_]),
        hnp.array_shapes(min_dims=0, max_dims=3, max_side=4),
    ),
    step=st.integers(-(2**63), 2**63 - 1),
    rate=st.floats(allow_nan=False) | st.floats(allow_nan=False).map(np.float64),
    through_json=st.booleans(),
)
def test_round_trip_is_exact(mean: Any, step: int, rate: float, through_json: bool) -> None:
    state = Outer(Inner(mean, True), step, rate)
    document = to_plain(state)
    assert plain_only(document)
    if through_json:
        document = json.loads(json.dumps(document))
    template = Outer(Inner(np.zeros_like(mean)), 0, 0.0)
    found = restore(template, document)
    assert isinstance(found, Outer)
    assert isinstance(found.inner, Inner)
    assert (found.step, found.rate, found.inner.seen) == (step, rate, True)
    assert found.inner.mean.dtype == mean.dtype
    np.testing.assert_array_equal(found.inner.mean, mean)
    if mean.dtype.kind == "f":
        np.testing.assert_array_equal(
            np.signbit(found.inner.mean[mean == 0]), np.signbit(mean[mean == 0])
        )


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"mean": [1.0, 2.0]}, "another policy: its state has the fields"),
        ({"mean": [1.0, 2.0], "seen": True, "age": 1}, "another policy: its state has the fields"),
        (
            {"mean": [1.0], "seen": True},
            r"field mean has shape \(1,\), this one needs shape \(2,\)",
        ),
        ({"mean": [[1.0], [1.0, 2.0]], "seen": True}, "field mean has ragged lists"),
        ({"mean": ["a", "b"], "seen": True}, "field mean has <U1, this one needs float64"),
        ({"mean": [None, 1.0], "seen": True}, "field mean has object"),
        ({"mean": [1.0, 2.0], "seen": 0.5}, "field seen has float64, this one needs bool"),
    ],
)
def test_foreign_document_is_refused(document: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        restore(Inner(np.zeros(2)), document)


def test_number_where_a_nested_state_belongs_is_refused() -> None:
    document = {"inner": 1, "step": 1, "rate": 1.0}
    with pytest.raises(ValueError, match="field inner has int, this one needs fields"):
        restore(Outer(Inner(np.zeros(2)), 0, 0.0), document)


def test_only_named_tuples_of_numbers_can_be_stored() -> None:
    with pytest.raises(TypeError, match="must be a NamedTuple, got dict"):
        to_plain({"mean": 1})
    with pytest.raises(TypeError, match=r"field mean .* got list"):
        to_plain(Inner([1.0]))
    with pytest.raises(TypeError, match=r"field mean .* got ndarray"):
        to_plain(Inner(np.array(["a"])))
