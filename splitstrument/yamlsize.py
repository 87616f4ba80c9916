"""Size of YAML before it is read: aliases make a small file huge, and the loader, which is recursive, dies of depth."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import yaml

from splitstrument.errors import SettingsError

MAX_ALIASES = 100
MAX_EXPANSION = 100_000
MAX_DEPTH = 100
MAX_DIGITS = 1000


@dataclass
class _OpenNode:
    """A YAML node that is being read: its values and levels so far, aliases expanded."""

    anchor: str | None = None
    n_values: int = 1
    n_levels: int = 1

    def add(self, n_values: int, n_levels: int) -> None:
        """Take in a finished node below this one."""
        self.n_values += n_values
        self.n_levels = max(self.n_levels, n_levels + 1)


@dataclass
class _Expansion:
    """Size that a YAML text has with every alias replaced by what it stands for; nothing is expanded to tell."""

    n_aliases: int = 0
    n_written: int = 0
    root: _OpenNode = field(default_factory=_OpenNode)
    open_nodes: list[_OpenNode] = field(default_factory=list)
    anchored: dict[str, _OpenNode] = field(default_factory=dict)

    def note(self, event: yaml.Event) -> None:
        """Take in the next event of the parser."""
        if isinstance(event, yaml.CollectionEndEvent):
            self._finish(self.open_nodes.pop())
        elif isinstance(event, yaml.AliasEvent):
            self.n_aliases += 1
            # an anchor that does not exist is the loader's to report
            self._add(self.anchored.get(event.anchor or "", _OpenNode()))
        elif isinstance(event, yaml.NodeEvent):
            self.n_written += 1
            node = _OpenNode(event.anchor)
            if isinstance(event, yaml.CollectionStartEvent):
                self.open_nodes.append(node)
            else:
                self._finish(node)

    def is_inside_itself(self, event: yaml.AliasEvent) -> bool:
        """Whether an alias stands inside the node that it names."""
        return any(node.anchor == event.anchor for node in self.open_nodes)

    def _finish(self, node: _OpenNode) -> None:
        if node.anchor is not None:
            self.anchored[node.anchor] = node
        self._add(node)

    def _add(self, node: _OpenNode) -> None:
        above = self.open_nodes[-1] if self.open_nodes else self.root
        above.add(node.n_values, node.n_levels)


def _is_number(event: yaml.ScalarEvent) -> bool:
    """Whether a scalar may be read as an integer; Python neither reads nor shows those of many digits."""
    return event.implicit[0] and re.fullmatch(r"[-+]?[0-9][0-9a-fA-FxX_:]*", event.value) is not None


def check_expansion(events: Iterable[yaml.Event], name: str) -> None:
    """Refuse YAML that is small on disk and huge, or endless, in memory.

    Parameters
    ----------
    events
        What the parser of PyYAML makes of the text.
    name
        What the error calls it.

    Raises
    ------
    SettingsError
        If it is nested deeper than `MAX_DEPTH`, has more than `MAX_ALIASES` aliases or one inside of itself, their
        expansion adds more than `MAX_EXPANSION` values, or a number has more than `MAX_DIGITS` digits.
    """
    expansion = _Expansion()
    for event in events:
        if isinstance(event, yaml.ScalarEvent) and len(event.value) > MAX_DIGITS and _is_number(event):
            raise SettingsError(f"{name} has a number of {len(event.value)} digits, which no setting needs: mend it.")
        if isinstance(event, yaml.AliasEvent) and expansion.is_inside_itself(event):
            raise SettingsError(
                f"{name} has the YAML alias *{event.anchor} inside of what it stands for: write it out."
            )
        expansion.note(event)
        if len(expansion.open_nodes) > MAX_DEPTH or expansion.root.n_levels > MAX_DEPTH + 1:
            raise SettingsError(f"{name} is nested deeper than {MAX_DEPTH} levels, which no file of ours is.")
    if expansion.n_aliases > MAX_ALIASES:
        raise SettingsError(
            f"{name} uses {expansion.n_aliases} YAML aliases; at most {MAX_ALIASES} are allowed: write values out."
        )
    if expansion.root.n_values - expansion.n_written > MAX_EXPANSION:
        raise SettingsError(
            f"The YAML aliases of {name} stand for more than {MAX_EXPANSION} values: use fewer of them."
        )
