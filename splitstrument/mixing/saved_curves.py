"""Curves that a user adjusted and saved: ``mine:warm`` in place of a word of the table.

They lie in one file where the user's settings are (``~/.config/splitstrument/curves.yaml``, or below
``XDG_CONFIG_HOME``), which is replaced as a whole.
"""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from pydantic import Field, field_validator

from splitstrument.errors import SettingsError
from splitstrument.files import user_folder, write_yaml
from splitstrument.mixing.words import Word
from splitstrument.settings import Settings, read_yaml, validate

PREFIX = "mine"
MAX_POINTS = 200
Points = tuple[tuple[float, float], ...]


class SavedCurve(Settings):
    """Points of a curve: hertz, rising, and gain in dB."""

    points: Points = Field(min_length=1, max_length=MAX_POINTS)

    @field_validator("points")
    @classmethod
    def _check(cls, points: Points) -> Points:
        hertz = [point[0] for point in points]
        if any(low >= high for low, high in pairwise(hertz)):
            raise ValueError(f"frequencies must rise; they are {hertz}")
        if not 0 < hertz[0] <= hertz[-1] <= 24_000 or max(abs(point[1]) for point in points) > 30:
            raise ValueError("points lie between 0 and 24000 Hz and -30 and 30 dB")
        return points


class SavedCurves(Settings):
    """The file."""

    curves: dict[str, SavedCurve] = Field(default_factory=dict)


def curves_file() -> Path:
    """Where the curves are kept."""
    return user_folder() / "curves.yaml"


def saved_curves() -> dict[str, Word]:
    """All of them, sorted by name.

    Raises
    ------
    SettingsError
        If the file is damaged.
    """
    return {name: _word(name, curve) for name, curve in sorted(_read().curves.items())}


def find_saved(name: str) -> Word:
    """Look a curve up.

    Raises
    ------
    SettingsError
        If there is none of that name.
    """
    curves = saved_curves()
    if name not in curves:
        there = f"there are {', '.join(curves)}" if curves else "none is saved yet"
        raise SettingsError(f"No curve is saved as {name!r}: {there}; `splitstrument words WORD --save` saves one.")
    return curves[name]


def save_curve(name: str, points: Points) -> Path:
    """Keep a curve, in the place of one of that name; returns the file.

    Raises
    ------
    SettingsError
        If the name is none, or points are out of bounds.
    """
    if not name.isidentifier() or len(name) > 40:
        raise SettingsError(f"{name!r} is no name for a curve: use letters, digits and _, at most 40.")
    curve = validate({"points": points}, SavedCurve, f"The curve {name!r}")
    return _write({**_read().curves, name: curve})


def forget_curve(name: str) -> Path:
    """Drop a curve.

    Raises
    ------
    SettingsError
        If there is none of that name.
    """
    find_saved(name)
    return _write({key: curve for key, curve in _read().curves.items() if key != name})


def _read() -> SavedCurves:
    path = curves_file()
    return validate(read_yaml(path) or {}, SavedCurves, str(path)) if path.is_file() else SavedCurves()


def _write(curves: dict[str, SavedCurve]) -> Path:
    path = curves_file()
    write_yaml(path, SavedCurves(curves=dict(sorted(curves.items()))).model_dump(mode="json"))
    return path


def _word(name: str, curve: SavedCurve) -> Word:
    hertz, gains_db = zip(*curve.points, strict=True)
    return Word(f"{PREFIX}:{name}", hertz, gains_db, "", "saved")
