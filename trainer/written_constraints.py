"""Constraints as a configuration writes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import Any

from jsonargparse import ArgumentError, ArgumentParser

from policies.allocation import Change, Constraint, Cost, Epochs, Floor, Ratio, Share
from trainer.parsing import reason

_SHORT: dict[str, type[Constraint]] = {
    each.__name__.lower(): each for each in (Share, Ratio, Epochs, Change, Cost, Floor)
}
_EXAMPLE = {
    "share": "of: sw, minimum: 0.005",
    "ratio": "of: uk, to: ru, minimum: 0.5",
    "epochs": "maximum: 15",
    "change": "maximum: 0.05",
    "cost": "per_token: {licensed: 1.0}, budget: 1e6",
    "floor": "minimum: 0.01",
}
# What a number by itself stands for.
_NUMBER = {"epochs": "maximum", "change": "maximum", "floor": "minimum"}


def read_constraints(written: Sequence[Mapping[str, Any]]) -> tuple[Constraint, ...]:
    """Make the constraints of a list, each a class with settings or one of the short forms.

    A short form is the name of a built-in constraint in lower case with its settings, or with a
    number where one setting says it all: ``share: {of: [ro, uk], maximum: 0.08}``, ``epochs: 15``,
    ``change: 0.05``, ``floor: 0.01``. The long form is ``class_path`` and ``init_args``.

    Raises:
        ValueError: An entry is neither, or its settings are wrong.
    """
    return tuple(_read(entry, place) for place, entry in enumerate(written))


def _read(entry: Mapping[str, Any], place: int) -> Constraint:
    where = f"constraints[{place}]"
    if not isinstance(entry, Mapping):
        raise ValueError(f"{where} must be a mapping such as {{floor: 0.01}}, got {entry!r}")
    kind, settings = _long(entry, where) if "class_path" in entry else _short(entry, where)
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(kind, kind.__name__)
    try:
        parsed = parser.parse_object({kind.__name__: dict(settings)})
        made = parser.instantiate_classes(parsed)[kind.__name__]
    except (ArgumentError, ValueError) as error:
        raise ValueError(f"{where}: {reason(error)}") from error
    assert isinstance(made, Constraint)
    return made


def _long(entry: Mapping[str, Any], where: str) -> tuple[type[Constraint], Mapping[str, Any]]:
    if unknown := set(entry) - {"class_path", "init_args"}:
        raise ValueError(
            f"{where} must have the keys class_path and init_args only, got {sorted(unknown)[0]!r}"
        )
    path = str(entry["class_path"])
    module, _, name = path.rpartition(".")
    try:
        kind = getattr(import_module(module or "policies.allocation"), name)
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"{where}: class_path must be importable, got {path!r}: {error}"
        ) from error
    if not (isinstance(kind, type) and issubclass(kind, Constraint)):
        raise ValueError(f"{where}: class_path must be a Constraint, got {path!r}")
    return kind, entry.get("init_args") or {}


def _short(entry: Mapping[str, Any], where: str) -> tuple[type[Constraint], Mapping[str, Any]]:
    if len(entry) != 1:
        raise ValueError(
            f"{where} must be one constraint, either a short form such as {{floor: 0.01}} or "
            f"class_path and init_args, got the keys {', '.join(map(str, entry)) or 'none'}"
        )
    ((name, settings),) = entry.items()
    if name not in _SHORT:
        raise ValueError(
            f"{where} must be one of {', '.join(_SHORT)} or have a class_path, got {name!r}"
        )
    if isinstance(settings, int | float) and name in _NUMBER:
        settings = {_NUMBER[name]: settings}
    if not isinstance(settings, Mapping):
        raise ValueError(
            f"{where}: {name} takes settings such as {{{_EXAMPLE[name]}}}, got {settings!r}"
        )
    return _SHORT[name], settings
