"""What stems sound like whose names say nothing; it is for a person to move them."""

from __future__ import annotations

from pathlib import Path

from splitstrument.datasets.classes import EXCLUDED
from splitstrument.datasets.index import Index
from splitstrument.recognition.classes import all_classes
from splitstrument.recognition.content import content_of
from splitstrument.recognition.listen import recognise_file


def sounds_of_excluded(index: Index, folder: Path) -> dict[str, str]:
    """Listen to the excluded stems of an organised dataset: file below `folder` -> a sentence without its subject.

    Raises
    ------
    AudioFileError
        If one cannot be read.
    """
    return {
        f"{track}/{stem.file}": _sound(folder / track / stem.file, track)
        for track, entry in index.tracks.items()
        for stem in entry.stems
        if stem.stem_class == EXCLUDED
    }


def _sound(file: Path, track: str) -> str:
    content = content_of(recognise_file(file))
    if content is None:
        return "holds nothing that is recognised"
    return (
        f"sounds like {all_classes()[content.best].title} ({content.means[content.best]:.0%}): if you hear it, too, "
        f"move it to {track}/{content.filed_under}"
    )
