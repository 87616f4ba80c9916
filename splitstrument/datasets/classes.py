"""Instrument classes of the thesis and the editable map from instrument names to them.

The map is YAML, either by class (``guitar: [acoustic guitar, banjo]``) or, as in the thesis, by name
(``acoustic guitar: guitar``). Names are compared without case and with runs of blanks as one. A name that the map does
not know stays unknown: it is listed for the user, never guessed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from splitstrument.errors import DatasetError, SettingsError
from splitstrument.settings import did_you_mean, read_yaml

GUITAR, PIANO, VOCALS, OTHER = "guitar", "piano", "vocals", "other"
INSTRUMENTS = (GUITAR, "bass", "drums", "percussion", PIANO, VOCALS, OTHER)
MIX, EXCLUDED = "mix", "excluded"
NOT_MUSIC = (MIX, EXCLUDED)
CLASSES = (*INSTRUMENTS, *NOT_MUSIC)
DEFAULT_MAP = Path(__file__).parent / "instruments.yaml"

_CLASS_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclass(frozen=True)
class InstrumentMap:
    """Instrument name -> class.

    Attributes
    ----------
    names
        Normalised instrument name -> class. Classes beyond `CLASSES` (such as ``distorted_guitar``) are allowed; they
        count as rest unless merged into the target.
    """

    names: Mapping[str, str] = field(default_factory=dict)

    def class_of(self, instrument: str) -> str | None:
        """Class of an instrument name, or None where the map does not know it."""
        return self.names.get(normalise(instrument))

    def unknown(self, instruments: Iterable[str]) -> list[str]:
        """Those of `instruments` that the map does not know, sorted, each once."""
        return sorted({name for name in instruments if self.class_of(name) is None})


def normalise(instrument: str) -> str:
    """Lower case, blanks collapsed: how instrument names are compared."""
    return " ".join(instrument.casefold().split())


def check_class_name(name: str) -> str:
    """Return `name` if it can be a class (and thus a folder).

    Raises
    ------
    SettingsError
        If it is not a lower-case word of letters, digits and underscores.
    """
    if not _CLASS_NAME.fullmatch(name):
        raise SettingsError(f"{name!r} cannot be a class: use lower-case letters, digits and underscores.")
    return name


@lru_cache(maxsize=8)
def read_instrument_map(path: str | Path | None = None) -> InstrumentMap:
    """Read a map; None is the one that ships with the package.

    Raises
    ------
    SettingsError
        If the file is no map, or puts one name into two classes.
    """
    path = Path(path or DEFAULT_MAP)
    data = read_yaml(path)
    if not isinstance(data, dict):
        raise SettingsError(f"{path} should map classes to lists of instrument names, or names to classes.")
    names: dict[str, str] = {}
    for instrument, stem_class in _entries(data, path):
        known = names.setdefault(normalise(instrument), check_class_name(stem_class))
        if known != stem_class:
            raise SettingsError(f"{path} puts {instrument!r} into {known} and into {stem_class}: keep one.")
    return InstrumentMap(names)


def _entries(data: dict[Any, Any], path: Path) -> Iterable[tuple[str, str]]:
    """Pairs of name and class from either form of the file."""
    for key, value in data.items():
        if isinstance(value, list):
            yield from ((str(name), str(key)) for name in value)
        elif isinstance(value, str):
            yield str(key), value
        else:
            raise SettingsError(f"{path}: {key!r} should be a list of names or a class (received {value!r}).")


def check_target(target: str, present: Iterable[str]) -> None:
    """Refuse a target that no stem has.

    Raises
    ------
    DatasetError
        With the nearest of the classes that there are, and all of them.
    """
    present = sorted(set(present))
    if target not in present:
        known, hint = ", ".join(present) or "none", did_you_mean(target, present) or "."
        raise DatasetError(f"No stem has the class {target!r}: the classes here are {known}{hint}")
