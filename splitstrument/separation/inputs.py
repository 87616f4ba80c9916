"""The songs that are meant by files, folders and patterns."""

from __future__ import annotations

import fnmatch
import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from splitstrument.audio import is_audio_name
from splitstrument.errors import SettingsError
from splitstrument.files import real_path
from splitstrument.separation.result import read_sidecar
from splitstrument.unread import folders_once, unread, unread_reason

SIDECAR_MARK, SIDECAR_BYTES = b'"null_db"', 1_000_000


@dataclass
class Inputs:
    """Songs that the arguments stand for.

    Attributes
    ----------
    songs
        Each song once, in order -> its folder below the folder that was given; None where it was given itself.
    lost
        Files that seem to be songs and cannot be taken -> why.
    n_outputs
        Stems of earlier separations in the folders, which are no songs.
    """

    songs: dict[Path, Path | None] = field(default_factory=dict)
    lost: dict[Path, str] = field(default_factory=dict)
    n_outputs: int = 0


def expand(inputs: Iterable[str | Path]) -> list[Path]:
    """As `find_songs`; the songs alone."""
    return list(find_songs(inputs).songs)


def find_songs(inputs: Iterable[str | Path]) -> Inputs:
    """Files, folders (searched for audio, with their subfolders) and glob patterns -> files, each once, in order.

    Links to folders are followed, each folder once. Stems that a sidecar in the same folder names as outputs are left
    out of folders; by name or pattern they are taken.

    Raises
    ------
    SettingsError
        If a folder holds no audio or a pattern matches nothing.
    """
    found, seen = Inputs(), set[Path]()
    songs: dict[Path, Path | None]
    for text in inputs:
        path = Path(text)
        if path.is_dir():
            songs = _in_folder(path, found)
        elif not os.path.lexists(path) and glob.has_magic(str(text)):
            songs = dict.fromkeys(_matches(str(text), found))
        elif reason := unread_reason(path) if path.is_symlink() else None:
            songs, found.lost[path] = {}, f"{reason}."
        else:
            songs = {path: None}
        for song, below in songs.items():
            place = real_path(song.parent) / song.name  # a folder may be met by several names
            if place not in seen:
                seen.add(place)
                found.songs[song] = below
    return found


def _in_folder(folder: Path, found: Inputs) -> dict[Path, Path | None]:
    paths = [place / name for place, names in folders_once(folder) for name in names]
    lost = unread(paths)
    found.lost |= {path: f"{reason}." for path, reason in lost.items()}
    songs = sorted(path for path in paths if is_audio_name(path) and path.is_file() and path not in lost)
    outputs = _outputs_among(paths)
    found.n_outputs += sum(real_path(song) in outputs for song in songs)
    songs = [song for song in songs if real_path(song) not in outputs]
    if not songs and not lost:
        but = " but the outputs of earlier separations: name them, or give a pattern" if outputs else ""
        raise SettingsError(f"The folder {folder} holds no audio files{but}.")
    return {song: song.parent.relative_to(folder) for song in songs}


def _outputs_among(paths: Iterable[Path]) -> set[Path]:
    """Real paths of the files that those of `paths` that are sidecars name as outputs."""
    outputs = set()
    for path in paths:
        if path.suffix != ".json" or not path.is_file() or path.stat().st_size > SIDECAR_BYTES:
            continue
        try:
            if SIDECAR_MARK in path.read_bytes():
                outputs |= {real_path(path.parent / record.path) for record in read_sidecar(path).outputs.values()}
        except (OSError, SettingsError):
            continue
    return outputs


def _matches(pattern: str, found: Inputs) -> list[Path]:
    if "**" in Path(pattern).parts:
        names = sorted(_deep_matches(Path(pattern)))
    else:
        names = sorted(map(Path, glob.glob(pattern)))  # noqa: PTH207 - patterns may be absolute
    lost = unread(names)
    found.lost |= {path: f"{reason}." for path, reason in lost.items()}
    songs = [path for path in names if is_audio_name(path) and path not in lost]
    if not songs and not lost:
        raise SettingsError(f"No audio file matches {pattern!r}.")
    return songs


def _deep_matches(pattern: Path) -> Iterator[Path]:
    """Files that a pattern with ``**`` means; `glob` follows links round and round until the system refuses."""
    n_plain = next(index for index, part in enumerate(pattern.parts) if glob.has_magic(part))
    base, parts = Path(*pattern.parts[:n_plain]), pattern.parts[n_plain:]
    for place, names in folders_once(base):
        for path in (place / name for name in names):
            if _fits(path.relative_to(base).parts, parts):
                yield path


def _fits(path: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    if not path or not pattern:
        return not path and not set(pattern) - {"**"}
    if pattern[0] == "**":
        return _fits(path, pattern[1:]) or _fits(path[1:], pattern)
    return fnmatch.fnmatchcase(path[0], pattern[0]) and _fits(path[1:], pattern[1:])
