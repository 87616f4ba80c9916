"""Recordings of one instrument alone, cut into pieces: the "pure" datasets of the thesis.

Long recordings (the thesis took videos of an hour or more) become pieces of three minutes; the rest of such a piece is
silence (`MixSettings.empty_rest`). Pieces of one recording count as one song, so that no split separates them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from splitstrument.audio import probe
from splitstrument.datasets.classes import INSTRUMENTS
from splitstrument.datasets.sources.contract import RawStem, RawTrack, Source, readable_folders, sound_files
from splitstrument.errors import AudioFileError
from splitstrument.files import real_path

PIECE_S = 180.0
SHORTEST_S = 10.0


class Solo(Source):
    """Recordings in a folder that is named like their instrument's class."""

    name = "solo"
    title = "recordings of one instrument alone"
    citation = "The thesis used five videos of guitars and two of pianos, which it does not name."
    licence = "as each recording says"
    url = "your own recordings, or free ones such as https://musopen.org"
    layout = "<class>/<recording>.wav, class being guitar, piano, ... (the root itself may be the class's folder)"

    def scan(self, root: Path) -> Iterator[RawTrack]:
        """Yield the pieces of every recording below a class's folder."""
        for folder, subfolders, names in readable_folders(root):
            subfolders.sort()
            stem_class = _class_of(root, folder)
            for path in sound_files(folder, names):
                if stem_class:
                    yield from _pieces(path, stem_class)
                else:
                    problem = f"{path} lies in no folder that is named after an instrument: move it into one"
                    yield RawTrack(path.stem, (), problems=(problem,))


def _class_of(root: Path, folder: Path) -> str | None:
    """Class that the nearest folder is named after."""
    parts = (*reversed(folder.relative_to(root).parts), real_path(root).name)
    return next((part.casefold() for part in parts if part.casefold() in INSTRUMENTS), None)


def _pieces(path: Path, stem_class: str) -> Iterator[RawTrack]:
    try:
        duration_s = probe(path).duration_s
    except AudioFileError as error:
        yield RawTrack(path.stem, (), problems=(str(error),))
        return
    starts = [start for start in _starts(duration_s) if start == 0 or duration_s - start >= SHORTEST_S]
    names = [f"{path.stem} {number + 1:02d}" for number in range(len(starts))]
    for name, start in zip(names, starts, strict=True):
        stem = RawStem(path, stem_class=stem_class, start_s=start, length_s=min(PIECE_S, duration_s - start))
        yield RawTrack(name, (stem,), title=path.stem, same_song_as=tuple(n for n in names if n != name))


def _starts(duration_s: float) -> list[float]:
    return [PIECE_S * number for number in range(max(1, int(-(-duration_s // PIECE_S))))]
