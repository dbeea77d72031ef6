"""The names that constraints may use: domains, and groups of domains and of other groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from policies.policy import Task
from policies.signals import Array

SHOWN = 8


class Scope:
    """Domains and groups by name.

    Args:
        task: Its names and unique tokens.
        groups: Members by name of the group; a member is a domain or another group.

    Raises:
        ValueError: A group is named like a domain, is empty, names something unknown, counts a
            domain twice or lies within itself.
    """

    def __init__(self, task: Task, groups: Mapping[str, Sequence[str]]) -> None:
        self.names = task.names
        self.unique_tokens: Array = task.unique_tokens
        self._place = {name: place for place, name in enumerate(task.names)}
        self._groups = groups
        self._members: dict[str, NDArray[np.int64]] = {}
        for group, members in groups.items():
            if group in self._place:
                raise ValueError(f"groups must not be named like a domain, got {group!r}")
            if isinstance(members, str) or not members:
                raise ValueError(f"group {group!r} must list at least one member, got {members!r}")
        for group in groups:
            self._resolve(group, ())

    def members(self, of: str | Sequence[str], user: str) -> NDArray[np.int64]:
        """The places of all domains behind a name or behind several names together.

        Args:
            of: Names of domains or groups.
            user: What names them, for the error message.

        Raises:
            ValueError: An unknown name, or a domain that is counted twice.
        """
        names = [of] if isinstance(of, str) else list(of)
        parts = [self._lookup(name, user) for name in names]
        return self._together(parts, user)

    def _lookup(self, name: str, user: str) -> NDArray[np.int64]:
        if name in self._place:
            return np.array([self._place[name]])
        if name in self._members:
            return self._members[name]
        known = [*self._groups, *self.names]
        raise ValueError(
            f"{user} must name domains or groups that exist ({', '.join(known[:SHOWN])}"
            f"{', ...' * (len(known) > SHOWN)}), got {name!r}"
        )

    def _together(self, parts: list[NDArray[np.int64]], user: str) -> NDArray[np.int64]:
        places, times = np.unique(np.concatenate(parts), return_counts=True)
        if times.max() > 1:
            twice = self.names[places[int(times.argmax())]]
            raise ValueError(f"{user} must count every domain once, got {twice!r} twice")
        return places

    def _resolve(self, group: str, above: tuple[str, ...]) -> None:
        if group in above:
            chain = " > ".join([*above[above.index(group) :], group])
            raise ValueError(f"a group must not lie within itself, got {chain}")
        if group in self._members:
            return
        for member in self._groups[group]:
            if member in self._groups:
                self._resolve(member, (*above, group))
        user = f"group {group!r}"
        parts = [self._lookup(member, user) for member in self._groups[group]]
        self._members[group] = self._together(parts, user)
