"""Blocks that a configuration names: ``class_path`` and ``init_args``, nothing else is executed."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any

CLASS, ARGUMENTS = "class_path", "init_args"
Spec = Mapping[str, Any]


def check_spec(spec: object, where: str) -> Spec:
    """A mapping of ``class_path`` and perhaps ``init_args``; a bare name stands for the first.

    Args:
        spec: What the configuration says.
        where: Its place there, for messages.

    Raises:
        ValueError: It is neither, or has other keys.
    """
    if isinstance(spec, str):
        return {CLASS: spec}
    if not isinstance(spec, Mapping) or not isinstance(spec.get(CLASS), str):
        raise ValueError(
            f"{where} must be the path of a class, or {CLASS} and {ARGUMENTS}, got {spec!r}"
        )
    if unknown := set(spec) - {CLASS, ARGUMENTS}:
        raise ValueError(
            f"{where} must have no keys but {CLASS} and {ARGUMENTS}, got {sorted(unknown)}; what "
            f"{spec[CLASS]} takes goes into {ARGUMENTS}"
        )
    if not isinstance(spec.get(ARGUMENTS) or {}, Mapping):
        raise ValueError(f"{where}.{ARGUMENTS} must be a mapping, got {spec[ARGUMENTS]!r}")
    return spec


def import_named(path: str, where: str) -> Any:
    """What a dotted path names.

    Raises:
        ValueError: There is no such thing, or what it needs is not installed.
    """
    module, _, name = path.rpartition(".")
    try:
        return getattr(import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"{where}: {CLASS} must name something that can be imported, got {path!r} ({error})"
        ) from error


def build(spec: Spec, where: str, values: Mapping[str, str], **more: object) -> Any:
    """Make the object that a configuration describes.

    ``{name}`` in texts is replaced by the value of that name. Arguments that are themselves specs
    are made first; one whose path names a function stands for the function.

    Args:
        spec: As from ``check_spec``.
        where: Its place in the configuration, for messages.
        values: What to replace, as in ``{"domain": "de"}``.
        **more: Further arguments, before which those of the spec give way.

    Raises:
        ValueError: The class cannot be imported, does not take the arguments or refuses them.
    """
    named = import_named(spec[CLASS], where)
    if not isinstance(named, type):
        if spec.get(ARGUMENTS):
            raise ValueError(f"{where}: {spec[CLASS]} is no class and takes no {ARGUMENTS}")
        return named
    arguments = _filled(spec.get(ARGUMENTS) or {}, f"{where}.{ARGUMENTS}", values)
    try:
        return named(**{**arguments, **more})
    except (TypeError, ImportError, AssertionError) as error:
        raise ValueError(f"{where}: {spec[CLASS]} cannot be made: {error}") from error
    except (ValueError, OSError) as error:
        raise ValueError(f"{where}: {spec[CLASS]}: {error}") from error


def _filled(value: Any, where: str, values: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        for name, text in values.items():
            value = value.replace("{" + name + "}", text)
        return value
    if isinstance(value, Mapping):
        if CLASS in value:
            return build(check_spec(value, where), where, values)
        return {key: _filled(item, f"{where}.{key}", values) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, f"{where}[{at}]", values) for at, item in enumerate(value)]
    return value
