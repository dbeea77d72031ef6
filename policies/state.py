"""A policy's state as plain Python values, the only thing a checkpoint may safely hold."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeGuard

import numpy as np

from policies.policy import State


def to_plain(state: State) -> dict[str, Any]:
    """The state as ``{field: list or number}``, fields that are NamedTuples nested.

    Nothing is rounded: `restore` gives back the same bits, also after a passage through JSON.

    Raises:
        TypeError: The state or one of its fields is of a kind that cannot be stored.
    """
    if not _is_named_tuple(state):
        raise TypeError(f"a policy's state must be a NamedTuple, got {type(state).__name__}")
    return {name: _plain_value(name, value) for name, value in state._asdict().items()}


def restore(template: State, document: Mapping[str, Any]) -> State:
    """The state that `to_plain` wrote down.

    Args:
        template: Any state of the same policy and task, such as the one before the first step. It
            says what fields, shapes and number types to expect; its values are not used.
        document: What `to_plain` returned.

    Raises:
        ValueError: Fields, shapes or kinds of value are not those of the template.
    """
    expected, found = list(template._fields), list(document)
    if sorted(expected) != sorted(found):
        raise ValueError(
            "the checkpoint is of another policy: "
            f"its state has the fields {found}, this one needs {expected}"
        )
    fields = template._asdict().items()
    return type(template)(**{name: _value(name, old, document[name]) for name, old in fields})


def _is_named_tuple(value: object) -> TypeGuard[Any]:
    return isinstance(value, tuple) and hasattr(value, "_asdict")


def _plain_value(name: str, value: object) -> object:
    if _is_named_tuple(value):
        return to_plain(value)
    # Before the plain numbers: numpy's float64 is a float to isinstance, not to torch's loader.
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biuf":
        return value.tolist()
    if isinstance(value, bool | int | float):
        return value
    raise TypeError(
        f"field {name} of a policy's state must be a numeric array or number, "
        f"got {type(value).__name__}"
    )


def _value(name: str, template: Any, value: Any) -> Any:
    if _is_named_tuple(template):
        if not isinstance(value, Mapping):
            raise ValueError(_mismatch(name, "fields", type(value).__name__))
        return restore(template, value)
    expected = np.asarray(template)
    try:
        array = np.asarray(value)
    except ValueError as error:  # Lists of unequal lengths.
        raise ValueError(_mismatch(name, f"shape {expected.shape}", "ragged lists")) from error
    if array.shape != expected.shape:
        raise ValueError(_mismatch(name, f"shape {expected.shape}", f"shape {array.shape}"))
    if array.size and not _fits(array.dtype, expected.dtype):
        raise ValueError(_mismatch(name, str(expected.dtype), str(array.dtype)))
    if isinstance(template, np.ndarray):
        return array.astype(expected.dtype)
    return type(template)(value)


def _fits(found: np.dtype[Any], expected: np.dtype[Any]) -> bool:
    """Whether numbers of one type can be read as another: truth values as integers as floats."""
    rank = {"b": 0, "i": 1, "u": 1, "f": 2}
    return found.kind in rank and rank[found.kind] <= rank[expected.kind]


def _mismatch(name: str, expected: str, found: str) -> str:
    return (
        "the checkpoint is of another policy or corpus: "
        f"field {name} has {found}, this one needs {expected}"
    )
