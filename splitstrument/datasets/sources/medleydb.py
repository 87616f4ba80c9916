"""MedleyDB 1 and 2: multitracks with a YAML file of metadata per song.

The metadata comes from the MedleyDB repository (``Metadata/<track>_METADATA.yaml``) or lies in the track's own folder;
the audio is asked for on Zenodo. Stems, not raw takes, are read. A stem that mixes instruments lists them all.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from splitstrument.datasets.sources.contract import RawStem, RawTrack, Source, is_there, missing_files, readable_folders
from splitstrument.errors import SettingsError
from splitstrument.settings import read_yaml

SUFFIX = "_METADATA.yaml"
AUDIO_FOLDERS = ("Audio", "V1", "V2", "audio", ".")


class MedleyDB(Source):
    """MedleyDB as distributed: ``Audio/<track>/<track>_STEMS`` and the metadata files."""

    name = "medleydb"
    title = "MedleyDB 1 and 2"
    citation = (
        "R. Bittner et al., MedleyDB: A Multitrack Dataset for Annotation-Intensive MIR Research, ISMIR 2014; "
        "R. Bittner et al., MedleyDB 2.0, ISMIR 2016 (late-breaking)."
    )
    licence = "CC BY-NC-SA 4.0"
    url = "https://medleydb.weebly.com"
    layout = "Metadata/<track>_METADATA.yaml (or in the track's folder) and Audio/<track>/<track>_STEMS/*.wav"

    def scan(self, root: Path) -> Iterator[RawTrack]:
        """Yield one track per metadata file."""
        seen = set()
        for folder, _, names in readable_folders(root):
            for name in sorted(names):
                if name.endswith(SUFFIX) and name not in seen:
                    seen.add(name)
                    yield _read_track(root, folder / name)


def _read_track(root: Path, path: Path) -> RawTrack:
    name = path.name.removesuffix(SUFFIX)
    try:
        data = read_yaml(path)
        folder = audio_folder(root, path, name)
        stems = _stems(data, folder)
    except (SettingsError, KeyError, TypeError, AttributeError) as error:
        return RawTrack(name, (), problems=(f"{path.name} is no MedleyDB metadata ({error})",))
    return RawTrack(
        name,
        stems,
        artist=str(data.get("artist") or ""),
        title=str(data.get("title") or ""),
        genre=str(data.get("genre") or ""),
        problems=missing_files(stems),
        folder=folder,
        notes=("the makers declare bleed",) if str(data.get("has_bleed")).casefold() in ("yes", "true") else (),
    )


def _stems(data: dict[str, Any], folder: Path) -> tuple[RawStem, ...]:
    """Stems and, where it is there, the mix."""
    stems = [
        RawStem(folder / data["stem_dir"] / stem["filename"], as_names(stem["instrument"]))
        for stem in data["stems"].values()
    ]
    mix = folder / str(data.get("mix_filename"))
    if is_there(mix):
        stems.append(RawStem(mix, stem_class="mix"))
    return tuple(stems)


def as_names(value: Any) -> tuple[str, ...]:
    """One name or a list of names as a tuple."""
    return tuple(map(str, value)) if isinstance(value, list) else (str(value),)


def audio_folder(root: Path, metadata: Path, name: str) -> Path:
    """Folder of a track's audio; where there is none, the one that is expected."""
    candidates = [metadata.parent, *(root / folder / name for folder in AUDIO_FOLDERS)]
    candidates += [root.parent / folder / name for folder in AUDIO_FOLDERS[:1]]
    found = (folder for folder in candidates if (folder / f"{name}_STEMS").is_dir())
    return next(found, root / AUDIO_FOLDERS[0] / name)
