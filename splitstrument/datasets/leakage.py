"""Is any song on both sides of a split? Checks for the passport, by what is known of each track."""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class TrackFacts:
    """Facts about a track that tell leakage.

    Attributes
    ----------
    hashes
        SHA-256 of the stems' files.
    same_song_as
        Names of tracks that the dataset says are the same composition.
    """

    artist: str = ""
    title: str = ""
    same_song_as: tuple[str, ...] = ()
    hashes: frozenset[str] = field(default_factory=frozenset)


@dataclass(frozen=True)
class LeakageCheck:
    """One check: pairs of an evaluation and a training track that share what they must not share.

    Attributes
    ----------
    fatal
        Whether a find makes the split wrong; the same artist alone is a warning.
    """

    name: str
    fatal: bool
    found: tuple[tuple[str, str], ...]


def check_leakage(tracks: Mapping[str, TrackFacts], evaluation: Iterable[str]) -> list[LeakageCheck]:
    """Compare the evaluation tracks with all others."""
    held_out = set(evaluation) & set(tracks)
    declared = {frozenset((name, other)) for name, track in tracks.items() for other in track.same_song_as}
    songs: defaultdict[str, set[str]] = defaultdict(set)
    for pair in declared:
        for name in pair:
            songs[name].add("\0".join(sorted(pair)))
    return [
        LeakageCheck("same audio file", True, _shared(tracks, held_out, lambda name: tracks[name].hashes)),
        LeakageCheck("declared the same song", True, _shared(tracks, held_out, songs.__getitem__)),
        LeakageCheck("same artist and title", True, _shared(tracks, held_out, lambda name: _title(tracks[name]))),
        LeakageCheck("same artist", False, _shared(tracks, held_out, lambda name: _artist(tracks[name]))),
    ]


def _shared(tracks, held_out: set[str], keys_of) -> tuple[tuple[str, str], ...]:
    """Pairs (evaluation track, training track) with a key in common."""
    owners: defaultdict[str, tuple[set[str], set[str]]] = defaultdict(lambda: (set(), set()))
    for name in tracks:
        for key in keys_of(name):
            owners[key][name not in held_out].add(name)
    return tuple(sorted({(one, other) for ours, theirs in owners.values() for one in ours for other in theirs}))


def _title(track: TrackFacts) -> set[str]:
    artist, title = plain(track.artist), plain(track.title)
    return {f"{artist}\0{title}"} if artist and title else set()


def _artist(track: TrackFacts) -> set[str]:
    return {plain(track.artist)} - {""}


def plain(text: str) -> str:
    """Letters and digits only, without accents and case: ``Beyoncé (Live)`` -> ``beyoncelive``."""
    decomposed = unicodedata.normalize("NFKD", text.casefold())
    return re.sub(r"[\W_]|[\u0300-\u036f]", "", decomposed)
