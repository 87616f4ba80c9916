"""Named members of one kind, such as losses or engines: ours from a table, those of other packages from entry points.

Nothing is imported before it is asked for, so that a table of names costs nothing at start-up. A package of the user's
own adds a member by an entry point in the registry's group; in its ``pyproject.toml``:

    [project.entry-points."splitstrument.losses"]
    hinge = "my_package.losses:hinge"

A plug-in that cannot be loaded is an error for those who ask for it by name, and for nobody else.
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Generic, TypeVar

from splitstrument.errors import SettingsError

T = TypeVar("T")


class Registry(Generic[T]):
    """The members of one kind, by name.

    Parameters
    ----------
    kind
        What a member is called in messages: ``loss``.
    group
        Of the entry points: ``splitstrument.losses``.
    table
        Our own: name -> member, or ``module:object`` of a member that is to be imported when it is asked for.
    accepts, expected
        Tells a member from an object that is none, and says in a few words what a member is.

    Iteration gives the names, ours first.
    """

    def __init__(
        self,
        kind: str,
        group: str,
        table: Mapping[str, T | str],
        accepts: Callable[[Any], bool] = callable,
        expected: str = "a function",
    ) -> None:
        self.kind, self.group, self.table = kind, group, dict(table)
        self.accepts, self.expected = accepts, expected

    def __iter__(self) -> Iterator[str]:
        yield from self.table
        yield from sorted(self.plugins)

    def __contains__(self, name: object) -> bool:
        return name in self.table or name in self.plugins

    def __len__(self) -> int:
        return len(self.table) + len(self.plugins)

    @cached_property
    def plugins(self) -> dict[str, list[EntryPoint]]:
        """Entry points by name; several where packages use the same name. None that has the name of one of ours."""
        found: dict[str, list[EntryPoint]] = {}
        for point in entry_points(group=self.group):
            if point.name not in self.table and point not in found.get(point.name, ()):
                found.setdefault(point.name, []).append(point)
        return found

    def get(self, name: str) -> T:
        """Load the member called `name`.

        Raises
        ------
        SettingsError
            If there is none, with the nearest names; or if it is a plug-in that cannot be loaded, with its package.
        """
        if name in self.table:
            member = self.table[name]
            return loaded(member) if isinstance(member, str) else member
        if name not in self.plugins:
            raise SettingsError(
                f"There is no {self.kind} {name!r}{_nearest(name, self)}: choose one of {', '.join(self)}."
            )
        first, *others = self.plugins[name]
        if others:
            raise SettingsError(
                f"Several packages have a {self.kind} {name!r}: uninstall all but one of "
                f"{', '.join(sorted(map(_package, self.plugins[name])))}."
            )
        return self._loaded_plugin(first)

    def members(self) -> dict[str, T]:
        """Load all members that can be loaded; `problems` says what became of the others."""
        return {name: member for name, member in self._all() if not isinstance(member, SettingsError)}

    def problems(self) -> list[str]:
        """Load all members, and say of those that cannot be, and of names that ours have already, what is wrong."""
        broken = [str(member) for _, member in self._all() if isinstance(member, SettingsError)]
        hidden = [
            f"A {self.kind} of {_package(point)} is called {point.name!r}, as one of Splitstrument's own: rename it."
            for point in entry_points(group=self.group)
            if point.name in self.table
        ]
        return broken + hidden

    def _all(self) -> Iterator[tuple[str, T | SettingsError]]:
        for name in self:
            try:
                yield name, self.get(name)
            except SettingsError as error:
                yield name, error

    def _loaded_plugin(self, point: EntryPoint) -> T:
        try:
            member = point.load()
        except (Exception, SystemExit) as error:  # foreign code may fail in any way
            raise SettingsError(
                f"The {self.kind} {point.name!r} of {_package(point)} cannot be loaded ({type(error).__name__}: "
                f"{_first_line(error)}): mend that package, or uninstall it."
            ) from None
        if not self.accepts(member):
            raise SettingsError(
                f"The {self.kind} {point.name!r} of {_package(point)} is {type(member).__name__} {point.value} instead "
                f"of {self.expected}: mend that package, or uninstall it."
            )
        return member


def loaded(reference: str) -> Any:
    """Import what ``module:object`` names."""
    module, _, name = reference.partition(":")
    return getattr(importlib.import_module(module), name)


def _nearest(name: str, known: Registry[Any]) -> str:
    close = difflib.get_close_matches(name, list(known), n=3, cutoff=0.6)
    return f" (did you mean {' or '.join(map(repr, close))}?)" if close else ""


def _package(point: EntryPoint) -> str:
    """Name and version of the distribution that an entry point comes from."""
    return f"the package {point.dist.name} {point.dist.version}" if point.dist else "a package without a name"


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or ["no message"])[0][:200]
