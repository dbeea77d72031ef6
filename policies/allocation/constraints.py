"""What the mixture may be, as data. Plain types only, so that YAML can say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias, final, get_args

import numpy as np
from numpy.typing import NDArray

from policies.allocation.constraint import (
    Constraint,
    Row,
    check_names,
    check_order,
    check_range,
    text,
)
from policies.allocation.scope import Scope
from policies.signals import Array

Measure: TypeAlias = Literal["total_variation", "kl"]


@final
@dataclass(frozen=True, kw_only=True)
class Share(Constraint):
    """The share of a domain or group, or of several of them together.

    Args:
        of: Name of a domain or group, or a list of names whose shares are added.
        minimum: Least share, in [0, 1].
        maximum: Largest share, in [0, 1].
        fixed: The share, in [0, 1]; instead of the other two.
    """

    of: str | list[str]
    minimum: float | None = None
    maximum: float | None = None
    fixed: float | None = None

    def __post_init__(self) -> None:
        check_names("Share.of", self.of)
        for name in ("minimum", "maximum", "fixed"):
            check_range(f"Share.{name}", getattr(self, name), 0, 1)
        if (self.fixed is None) == (self.minimum is None and self.maximum is None):
            raise ValueError(
                f"Share must have either fixed or a minimum or maximum, got {self.describe()}"
            )
        check_order("Share", self.minimum, self.maximum)

    def each_step(self, scope: Scope) -> list[Row]:
        domains = scope.members(self.of, self.describe())
        ones = np.ones(len(domains))
        least = self.minimum if self.fixed is None else self.fixed
        most = self.maximum if self.fixed is None else self.fixed
        rows = []
        if least is not None:
            rows.append(Row(domains, -ones, -least, "minimum"))
        if most is not None:
            rows.append(Row(domains, ones, most, "maximum"))
        return rows


@final
@dataclass(frozen=True, kw_only=True)
class Ratio(Constraint):
    """The share of one domain or group over that of another.

    Args:
        of: Name or names whose shares are added: above the line.
        to: Name or names whose shares are added: below the line. No domain may be in both.
        minimum: Least ratio, not negative.
        maximum: Largest ratio, not negative.
    """

    of: str | list[str]
    to: str | list[str]
    minimum: float | None = None
    maximum: float | None = None

    def __post_init__(self) -> None:
        check_names("Ratio.of", self.of)
        check_names("Ratio.to", self.to)
        for name in ("minimum", "maximum"):
            check_range(f"Ratio.{name}", getattr(self, name), 0, 1e6)
        if self.minimum is None and self.maximum is None:
            raise ValueError(f"Ratio must have a minimum or a maximum, got {self.describe()}")
        check_order("Ratio", self.minimum, self.maximum)

    def each_step(self, scope: Scope) -> list[Row]:
        above = scope.members(self.of, self.describe())
        below = scope.members(self.to, self.describe())
        both = np.intersect1d(above, below)
        if len(both):
            raise ValueError(
                f"{self.describe()} must not have a domain on both sides, "
                f"got {scope.names[both[0]]!r}"
            )
        domains = np.concatenate([above, below])
        rows = []
        for ratio, sign in ((self.minimum, -1.0), (self.maximum, 1.0)):
            if ratio is not None:
                sides = [np.ones(len(above)), np.full(len(below), -ratio)]
                # Scaled, so that how far it is broken counts in shares.
                rows.append(Row(domains, sign / max(1, ratio) * np.concatenate(sides), 0, "ratio"))
        return rows


@final
@dataclass(frozen=True, kw_only=True)
class Epochs(Constraint):
    """How often the unique tokens of a domain may be read over the whole run.

    Args:
        maximum: Epochs of each domain, not negative; 0 leaves the domain out.
        of: Name or names of domains or groups, each member on its own; all if not given.
        warn_at: Epochs from which `Allocator.warnings` speaks, at most ``maximum``.
    """

    maximum: float
    of: str | list[str] | None = None
    warn_at: float | None = None

    def __post_init__(self) -> None:
        if self.of is not None:
            check_names("Epochs.of", self.of)
        check_range("Epochs.maximum", self.maximum, 0, 1e9)
        check_range("Epochs.warn_at", self.warn_at, 0, self.maximum)

    def domains(self, scope: Scope) -> NDArray[np.int64]:
        """The places of the domains it holds for."""
        if self.of is None:
            return np.arange(len(scope.names))
        return scope.members(self.of, self.describe())

    def whole_run(self, scope: Scope) -> list[Row]:
        return [
            Row(
                np.array([d]), np.ones(1), self.maximum * float(scope.unique_tokens[d]), "whole_run"
            )
            for d in self.domains(scope)
        ]


@final
@dataclass(frozen=True, kw_only=True)
class Change(Constraint):
    """How far the mixture may move in one step.

    Args:
        maximum: In the measure's unit, positive.
        measure: "total_variation", half the sum of absolute differences, or "kl", the divergence
            of the new mixture from the last one in nats. A domain that had no share cannot come
            back under "kl".
    """

    maximum: float
    measure: Measure = "total_variation"

    def __post_init__(self) -> None:
        if self.measure not in get_args(Measure):
            raise ValueError(
                f"Change.measure must be 'total_variation' or 'kl', got {self.measure!r}"
            )
        check_range("Change.maximum", self.maximum, 1e-6, 1e3)


@final
@dataclass(frozen=True, kw_only=True)
class Cost(Constraint):
    """What tokens cost, on average in every step or altogether.

    Args:
        per_token: Price by domain or group (of each member), not negative; the others are free.
        maximum_mean: Largest mean price of a token in any step, positive or zero.
        budget: What all tokens of the run may cost together, positive or zero.
    """

    per_token: dict[str, float]
    maximum_mean: float | None = None
    budget: float | None = None

    def __post_init__(self) -> None:
        for name, price in self.per_token.items():
            check_range(f"Cost.per_token of {name!r}", price, 0, 1e12)
        if not any(price > 0 for price in self.per_token.values()):
            raise ValueError(
                f"Cost.per_token must hold a price above zero, got {text(self.per_token)}"
            )
        for limit in ("maximum_mean", "budget"):
            check_range(f"Cost.{limit}", getattr(self, limit), 0, 1e30)
        if self.maximum_mean is None and self.budget is None:
            raise ValueError(f"Cost must have a maximum_mean or a budget, got {self.describe()}")

    def _prices(self, scope: Scope) -> tuple[NDArray[np.int64], Array]:
        price = np.zeros(len(scope.names))
        for name, value in self.per_token.items():
            price[scope.members(name, self.describe())] = value
        scope.members(list(self.per_token), self.describe())  # Two prices for a domain are refused.
        domains = np.flatnonzero(price)
        return domains, price[domains]

    def each_step(self, scope: Scope) -> list[Row]:
        domains, price = self._prices(scope)
        if self.maximum_mean is None:
            return []
        top = float(price.max())
        return [Row(domains, price / top, self.maximum_mean / top, "whole_run")]

    def whole_run(self, scope: Scope) -> list[Row]:
        domains, price = self._prices(scope)
        if self.budget is None:
            return []
        top = float(price.max())
        return [Row(domains, price / top, self.budget / top, "whole_run")]


@final
@dataclass(frozen=True, kw_only=True)
class Floor(Constraint):
    """The least share of every domain, so that each stays explored.

    Args:
        minimum: In [0, 1].
    """

    minimum: float

    def __post_init__(self) -> None:
        check_range("Floor.minimum", self.minimum, 0, 1)

    def each_step(self, scope: Scope) -> list[Row]:
        return [
            Row(np.array([domain]), -np.ones(1), -self.minimum, "minimum")
            for domain in range(len(scope.names))
        ]
