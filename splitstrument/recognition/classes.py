"""The classes that the recogniser tells apart, and what datasets and people call them: ``classes.yaml`` as objects."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from splitstrument.settings import read_yaml

PATH = Path(__file__).with_name("classes.yaml")


@dataclass(frozen=True)
class InstrumentClass:
    """One output of the recogniser; see ``classes.yaml`` for the fields.

    Attributes
    ----------
    of
        The class that this one is a kind of; empty for classes.
    """

    name: str
    title: str
    of: str = ""
    programs: tuple[int, ...] = ()
    stems: tuple[str, ...] = ()
    irmas: tuple[str, ...] = ()
    openmic: tuple[str, ...] = ()
    medleydb: tuple[str, ...] = ()


@lru_cache(maxsize=1)
def all_classes() -> dict[str, InstrumentClass]:
    """Classes, then kinds, by name, in the order of the network's outputs."""
    data = read_yaml(PATH)
    entries = data["classes"] | data["kinds"]
    return {name: InstrumentClass(name, **_with_tuples(entry)) for name, entry in entries.items()}


def _with_tuples(entry: dict[str, Any]) -> dict[str, Any]:
    return {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}


@lru_cache(maxsize=1)
def class_names() -> tuple[str, ...]:
    """Names of the classes, without the kinds."""
    return tuple(name for name, one in all_classes().items() if not one.of)


@lru_cache(maxsize=1)
def _class_of_program() -> dict[int, str]:
    return {program: name for name, one in all_classes().items() for program in one.programs}


def class_of_program(program: int) -> str | None:
    """Class of a General MIDI program (from 0); None where it is none or several, as with choirs of synthesizers."""
    return _class_of_program().get(program)


def classes_of_name(name: str) -> tuple[str, ...]:
    """Classes that a stem, instrument or target of this name may be; empty where the name says nothing.

    >>> classes_of_name("piano")
    ('piano', 'electric_piano')
    """
    aliases = read_yaml(PATH)["names"]
    if name in aliases:
        return tuple(aliases[name])
    known = all_classes()
    return tuple(one for one in class_names() if (one == name and name != "other") or name in known[one].stems)
