"""Tags of a song: title, artist, album, date and track number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

FIELDS = ("title", "artist", "album", "date", "tracknumber")  # as libsndfile calls them
LONGEST = 500
_OTHER_NAMES = {"tracknumber": ("track",), "date": ("year", "creation_time"), "artist": ("album_artist",)}


@dataclass(frozen=True)
class Tags:
    """Plain text, empty where nothing is known."""

    title: str = ""
    artist: str = ""
    album: str = ""
    date: str = ""
    tracknumber: str = ""

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> Tags:
        """Take the fields from names in any case, FFmpeg's names included."""
        lower = {str(name).lower(): value for name, value in found.items()}
        names = {field: (field, *_OTHER_NAMES.get(field, ())) for field in FIELDS}
        return cls(**{field: _clean(next((lower[n] for n in names[field] if lower.get(n)), "")) for field in FIELDS})

    @classmethod
    def of_sound_file(cls, file: Any) -> Tags:
        """Those that libsndfile has read."""
        return cls.of({field: getattr(file, field) for field in FIELDS})

    def write_to(self, file: Any) -> None:
        """Give them to a `soundfile.SoundFile` that nothing has been written to."""
        for field, text in asdict(self).items():
            if text:
                setattr(file, field, text)

    def for_stem(self, stem: str) -> Tags:
        """The same for one stem of the song, whose name is added to the title; none where there is no title."""
        title = f"{self.title} ({stem})" if self.title else ""
        return Tags(**{**asdict(self), "title": title})


def _clean(text: Any) -> str:
    """One line of text without control characters."""
    plain = text.decode("utf-8", "replace") if isinstance(text, bytes) else str(text)
    plain = plain.encode("utf-8", "replace").decode()
    return " ".join("".join(c if c.isprintable() else " " for c in plain).split())[:LONGEST]
