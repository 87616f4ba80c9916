"""Where the outputs of a song go: a pattern such as ``{track}/{stem}.{ext}``, checked."""

from __future__ import annotations

import string
from pathlib import Path

from splitstrument.errors import SettingsError
from splitstrument.files import safe_name

FIELDS = ("track", "stem", "ext", "model", "folder")
REQUIRED = ("track", "stem", "ext")


def check_pattern(pattern: str) -> None:
    """Refuse patterns with unknown fields, or under which two outputs would have one name.

    Raises
    ------
    SettingsError
    """
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(pattern) if name is not None]
    except ValueError as error:
        raise SettingsError(f"--filename {pattern!r} cannot be read ({error}): write it like {_example()}.") from None
    for name in fields:
        if name not in FIELDS:
            raise SettingsError(f"--filename {pattern!r}: there is no field {{{name}}}; use {_example()}.")
    for name in REQUIRED:
        if name not in fields:
            raise SettingsError(f"--filename {pattern!r} lacks {{{name}}}, so that outputs would overwrite each other.")
    path = Path(pattern)
    if path.is_absolute() or ".." in path.parts:
        raise SettingsError(f"--filename {pattern!r} leaves the output folder: give the folder by --output.")


def output_path(folder: Path, pattern: str, song: Path, model_name: str, stem: str, extension: str) -> Path:
    """Path of one output; names from outside become single safe path components."""
    values = {
        "track": safe_name(track_name(song)),
        "folder": safe_name(song.resolve().parent.name),
        "model": safe_name(model_name),
        "stem": stem,
        "ext": extension,
    }
    return folder / pattern.format_map(values)


def track_name(song: Path) -> str:
    """Name of the track that a file holds."""
    return song.stem


def _example() -> str:
    return "'{track}/{stem}.{ext}' (also: {model}, {folder})"
