"""Folders of stems without metadata: one folder per song, whatever the stems are called.

`Cambridge` reads the multitracks of Mike Senior's Cambridge Music Technology library (``Artist_Song_Full``), `Folders`
any folder of the reader's own. Classes are proposed by the stem-name classifier, with a confidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from splitstrument.datasets.sources.contract import RawStem, RawTrack, Source, readable_folders, sound_files
from splitstrument.errors import DatasetError


class Folders(Source):
    """Any folder with one folder of audio files per song."""

    name = "folders"
    title = "folders of stems without metadata"
    citation = "The reader's own."
    licence = "as the owner says"
    url = "your own recordings"
    layout = "<song>/[any folders/]<stem>.wav (or any other audio format)"

    def scan(self, root: Path) -> Iterator[RawTrack]:
        """Yield every folder below the root that holds audio, at any depth."""
        for folder in sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")):
            stems: tuple[RawStem, ...] = ()
            problems: tuple[str, ...] = ()
            try:
                stems = tuple(RawStem(path) for path in _audio_below(folder))
            except DatasetError as error:
                problems = (str(error),)
            if stems or problems:
                yield replace(self.track(folder.name, stems), problems=problems, folder=folder)

    def track(self, name: str, stems: tuple[RawStem, ...]) -> RawTrack:
        """Make the track of one folder."""
        return RawTrack(name, stems, title=name)


class Cambridge(Folders):
    """Multitracks of the Cambridge Music Technology library."""

    name = "cambridge"
    title = "the multitracks of Cambridge Music Technology"
    citation = "M. Senior, The 'Mixing Secrets' Free Multitrack Download Library, Cambridge Music Technology."
    licence = "educational use only, as the library says for each song"
    url = "https://www.cambridge-mt.com/ms/mtk/"
    layout = "<Artist>_<Song>_Full/<NN>_<stem>.wav"

    def track(self, name: str, stems: tuple[RawStem, ...]) -> RawTrack:
        """Take artist and title out of ``Artist_Song_Full``."""
        parts = name.split("_")
        title = parts[1] if len(parts) > 1 else name
        return RawTrack(name, stems, artist=parts[0] if len(parts) > 1 else "", title=title)


def _audio_below(folder: Path) -> list[Path]:
    """Audio files below `folder`; links to folders are not followed, and macOS's ``__MACOSX`` shadows are no stems."""
    found = []
    for place, subfolders, names in readable_folders(folder):
        subfolders[:] = sorted(name for name in subfolders if name != "__MACOSX" and not name.startswith("."))
        found += sound_files(place, names)
    return found
