"""Songs that exist: MIDI files in folders, and the music lumps inside Doom WAD files (Freedoom)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from splitstrument.errors import DatasetError

MIDI_SUFFIXES = (".mid", ".midi")


@dataclass(frozen=True)
class SongFile:
    """Place of one song's MIDI data: a file, or `n_bytes` at `offset` inside a WAD."""

    title: str
    path: Path
    offset: int = 0
    n_bytes: int = -1

    def data(self) -> bytes:
        """The MIDI data."""
        with self.path.open("rb") as file:
            file.seek(self.offset)
            return file.read(self.n_bytes)


def list_songs(folder: str | Path) -> list[SongFile]:
    """All songs below a folder, one per distinct content (two WADs share some), sorted by title."""
    folder = Path(folder)
    if not folder.is_dir():
        raise DatasetError(f"There is no folder {folder}: expected one with MIDI or WAD files.")
    seen: dict[bytes, SongFile] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in MIDI_SUFFIXES:
            songs: Iterator[SongFile] = iter([SongFile(path.stem, path)])
        elif path.suffix.lower() == ".wad":
            songs = wad_songs(path)
        else:
            continue
        for song in songs:
            seen.setdefault(song.data(), song)
    return sorted(seen.values(), key=lambda song: song.title)


def wad_songs(path: Path) -> Iterator[SongFile]:
    """Lumps of a WAD that hold standard MIDI: a 12-byte header, then a directory of (offset, size, name).

    Raises
    ------
    DatasetError
        If the file is no WAD or its directory points outside the file.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        magic, n_lumps, directory = struct.unpack("<4sii", file.read(12).ljust(12, b"\0"))
        if size < 12 or magic not in (b"IWAD", b"PWAD") or n_lumps < 0 or not 0 <= directory <= size - 16 * n_lumps:
            raise DatasetError(f"{path} is no WAD file, or is cut off: get it again.")
        file.seek(directory)
        entries = list(struct.iter_unpack("<ii8s", file.read(16 * n_lumps)))
        for offset, n_bytes, name in entries:
            if n_bytes < 14 or not 0 <= offset <= size - n_bytes:
                continue
            file.seek(offset)
            if file.read(4) == b"MThd":
                title = name.rstrip(b"\0").decode("ascii", "replace").lower()
                yield SongFile(f"{path.stem}_{title}", path, offset, n_bytes)
