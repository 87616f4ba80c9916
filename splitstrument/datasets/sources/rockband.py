"""Songs of Rock Band, Guitar Hero, Frets on Fire and Clone Hero: one folder per song, one audio file per part.

The games play ``guitar.ogg`` while the player hits the notes, over ``song.ogg``, which holds everybody else: where any
other part lies beside it, ``song`` is the backing track and belongs to the rest. (The thesis classed it as ``mix`` and
added it to the rest in the code; without it most of these songs have no rest.) Alone, ``song.ogg`` is the whole mix.

``rhythm.ogg`` is the bass in most songs and a second guitar in some. The thesis put it into the rest, and so do we
unless ``song.ini`` or the file name says guitar: listen, and mark such tracks with ``bleed``.
"""

from __future__ import annotations

import configparser
import re
from collections.abc import Iterator
from pathlib import Path

from splitstrument.datasets.sources.contract import RawStem, RawTrack, Source, readable_folders, sound_files

# part -> class; a part is the file's stem without numbers and punctuation at its ends
PARTS = {
    "guitar": "guitar",
    "guitars": "guitar",
    "lead": "guitar",
    "bass": "bass",
    "rhythm": "other",
    "drums": "drums",
    "keys": "piano",
    "piano": "piano",
    "vocals": "vocals",
    "crowd": "excluded",
    "preview": "excluded",
}
BACKING = ("song", "backing")
INI_LIMIT_BYTES = 1_000_000


class RockBand(Source):
    """Game songs as folders of parts."""

    name = "rockband"
    title = "songs in the layout of Rock Band, Guitar Hero, Frets on Fire and Clone Hero"
    citation = "Songs of the games named; Frets on Fire's free ones: Carlos Viola Iborra (Sectoid), 2006/2007."
    licence = "as each song says; Sectoid's song pack: MIT (Expat)"
    url = "https://packages.debian.org/fretsonfire-songs-sectoid (free songs: `splitstrument dataset fetch sectoid`)"
    layout = "<any folders>/<song>/{guitar,rhythm,drums,vocals,song}.ogg, optionally song.ini"
    films = ("video", "background", "highway")

    def scan(self, root: Path) -> Iterator[RawTrack]:
        """Yield every folder that holds audio parts."""
        for folder, _, names in readable_folders(root):
            paths = sound_files(folder, names)
            if parts := [path.name for path in paths if path.stem.casefold() not in self.films]:
                yield read_song(folder, parts)


def read_song(folder: Path, names: list[str]) -> RawTrack:
    """Make a track of one song's folder."""
    backing_only = all(part_of(name) in BACKING or PARTS.get(part_of(name)) == "excluded" for name in names)
    stems = tuple(_stem(folder / name, backing_only) for name in names)
    ini = read_ini(folder / "song.ini")
    problems = ("only a mix, no separate part",) if backing_only else ()
    artist, title, genre = (ini.get(key, "") for key in ("artist", "name", "genre"))
    return RawTrack(folder.name, stems, artist, title, genre, problems=problems, folder=folder)


def _stem(path: Path, backing_only: bool) -> RawStem:
    part = part_of(path.name)
    if part in BACKING:
        return RawStem(path, stem_class="mix" if backing_only else "other")
    if re.fullmatch(r"drums\d*|drums_\d+", part):
        return RawStem(path, stem_class="drums")
    return RawStem(path, stem_class=PARTS.get(part))


def part_of(name: str) -> str:
    """``03 - Guitar.ogg`` -> ``guitar``; ``drums_1.ogg`` -> ``drums``."""
    return re.sub(r"^[\W\d_]+|[\W\d_]+$", "", Path(name).stem.casefold())


def read_ini(path: Path) -> dict[str, str]:
    """Read the ``[song]`` section of a song.ini, however badly it was typed; empty where there is none."""
    parser = configparser.RawConfigParser(strict=False, allow_no_value=True)
    try:
        if path.stat().st_size > INI_LIMIT_BYTES:
            return {}
        parser.read_string(path.read_bytes().decode("utf-8-sig", errors="replace"))
    except (OSError, configparser.Error):
        return {}
    section = next((name for name in parser.sections() if name.casefold() == "song"), None)
    return {key: (value or "").strip() for key, value in parser.items(section)} if section else {}
