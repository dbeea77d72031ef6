"""What a constraint is: linear inequalities on mixtures, or on what a run draws, and a text."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray

from policies.allocation.scope import Scope
from policies.signals import Array

Kind: TypeAlias = Literal["change", "minimum", "ratio", "maximum", "whole_run"]
KINDS: tuple[Kind, ...] = get_args(Kind)
"""In the order in which constraints give way when they cannot all be kept."""


class Row(NamedTuple):
    """One linear inequality: ``coefficients @ x[domains] <= bound``.

    Attributes:
        domains: Places of the domains it concerns, shape (n,), each once.
        coefficients: Shape (n,), not all zero.
        bound: Finite.
        kind: When it gives way.
    """

    domains: NDArray[np.int64]
    coefficients: Array
    bound: float
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """A demand on the mixture. Subclass it and give rows for any further linear demand."""

    def each_step(self, scope: Scope) -> Sequence[Row]:
        """Inequalities that the mixture of every step must keep, in shares."""
        del scope
        return ()

    def whole_run(self, scope: Scope) -> Sequence[Row]:
        """Inequalities that the tokens drawn over the whole run must keep, in tokens.

        Their coefficients must not be negative.
        """
        del scope
        return ()

    def describe(self) -> str:
        """The constraint as the user wrote it, without what was left at its default."""
        written = []
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if field.default is dataclasses.MISSING or value != field.default:
                written.append(f"{field.name}={text(value)}")
        return f"{type(self).__name__}({', '.join(written)})"


def text(value: object) -> str:
    """A setting as short text."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {text(each)}" for name, each in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "+".join(map(str, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def check_names(option: str, of: str | list[str]) -> None:
    """Refuse an empty name or list."""
    if not of:
        raise ValueError(f"{option} must name at least one domain or group, got {of!r}")


def check_range(option: str, value: float | None, low: float, high: float) -> None:
    """Refuse a number that is given and is not in this range."""
    if value is not None and not (math.isfinite(value) and low <= value <= high):
        raise ValueError(f"{option} must be in [{low:g}, {high:g}], got {value}")


def check_order(constraint: str, minimum: float | None, maximum: float | None) -> None:
    """Refuse a minimum above its maximum."""
    if minimum is not None and maximum is not None and minimum > maximum:
        raise ValueError(
            f"{constraint}.minimum must be at most its maximum {maximum:g}, got {minimum:g}"
        )
