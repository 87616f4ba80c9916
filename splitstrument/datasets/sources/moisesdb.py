"""MoisesDB: 240 songs with stems of stems, described by a ``data.json`` per song."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from splitstrument.datasets.sources.contract import (
    RawStem,
    RawTrack,
    Source,
    missing_files,
    read_json,
    readable_folders,
)
from splitstrument.errors import DatasetError

# the upper level of the taxonomy, where the lower one is not enough
STEM_CLASSES = {
    "vocals": "vocals",
    "bass": "bass",
    "drums": "drums",
    "guitar": "guitar",
    "piano": "piano",
    "percussion": "percussion",
}


class MoisesDB(Source):
    """MoisesDB as distributed: ``moisesdb_v0.1/<song id>/<stem>/<track id>.wav``."""

    name = "moisesdb"
    title = "MoisesDB"
    citation = "I. Pereira et al., MoisesDB: A Dataset for Source Separation Beyond 4-Stems, ISMIR 2023."
    licence = "CC BY-NC-SA 4.0"
    url = "https://music.ai/research/ (registration needed)"
    layout = "[moisesdb_v0.1/]<song id>/{data.json, <stem name>/<track id>.wav}"

    def scan(self, root: Path) -> Iterator[RawTrack]:
        """Yield one track per ``data.json``."""
        for folder, subfolders, names in readable_folders(root):
            subfolders.sort()
            if "data.json" in names:
                subfolders.clear()
                yield _read_song(folder)


def _read_song(folder: Path) -> RawTrack:
    try:
        data = read_json(folder / "data.json")
        stems = tuple(_stems(folder, data))
        bleed = any(part.get("has_bleed") for stem in data["stems"] for part in stem["tracks"])
    except DatasetError as error:
        return RawTrack(folder.name, (), problems=(str(error),), folder=folder)
    except (KeyError, TypeError, AttributeError) as error:
        problem = f"data.json does not describe a song of MoisesDB ({error})"
        return RawTrack(folder.name, (), problems=(problem,), folder=folder)
    return RawTrack(
        folder.name,
        stems,
        artist=str(data.get("artist") or ""),
        title=str(data.get("song") or ""),
        genre=str(data.get("genre") or ""),
        problems=missing_files(stems),
        folder=folder,
        notes=("the makers declare bleed",) if bleed else (),
    )


def _stems(folder: Path, data: dict[str, Any]) -> Iterator[RawStem]:
    for stem in data["stems"]:
        name = str(stem["stemName"])
        for part in stem["tracks"]:
            path = folder / name / f"{part['id']}.{part['extension']}"
            yield RawStem(path, (str(part["trackType"]),), STEM_CLASSES.get(name, "other"))
