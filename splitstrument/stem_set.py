"""Stem sets: songs as one file per class of instrument, whose sum is the song.

A stem set is what networks that answer several instruments at once learn from::

    <set>/tracks_22050hz/<track>/<stem>_<track>.flac    stems of `STEMS`; stereo, 16 bit, equally long
    <set>/tracks.yaml                                   what is known of each track

The mixture of a track is the **sum of its files**; no file is ever rescaled alone. ``tracks.yaml`` says which
stems are *known*: their whole content is in their own file, and a known stem without a file is silent. A real song with
a guitar stem alone has ``known: [guitar]``, and its file ``other`` holds everybody else.

Sets grow while others read them: a track's folder is renamed into place when it is whole, and ``tracks.yaml``, which is
rewritten whole after each track, lists only tracks that are there.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from splitstrument import audio
from splitstrument.errors import DatasetError
from splitstrument.files import safe_name, scratch_folder, write_yaml
from splitstrument.pairs import Pair, check_pair, find_pairs
from splitstrument.settings import read_yaml

STEMS = ("guitar", "piano", "bass", "drums", "voice", "other")
FORMAT, LISTING, SUFFIX = 1, "tracks.yaml", ".flac"
MAX_LISTING_BYTES = 64_000_000


@dataclass(frozen=True)
class SetTrack:
    """Facts about one track.

    Attributes
    ----------
    known
        Stems whose whole content is in their own file, or that are silent.
    stems
        Stems that have a file.
    group
        The song, or the artist where songs share one: what a split must not tear apart.
    part
        ``train``, ``validation`` or ``test``.
    sounds
        Names of the banks or instruments that each stem is made of.
    """

    name: str
    known: tuple[str, ...]
    stems: tuple[str, ...]
    group: str
    part: str = "train"
    seed: int = 0
    duration_s: float = 0.0
    sounds: Mapping[str, tuple[str, ...]] | None = None

    def path(self, root: Path, sample_rate_hz: int, stem: str) -> Path:
        """File of one stem below the set's folder, whether it is there or not."""
        return track_folder(root, self.name, sample_rate_hz) / f"{stem}_{self.name}{SUFFIX}"


@dataclass(frozen=True)
class StemSet:
    """A set as it is listed at one moment; `tracks` by name."""

    root: Path
    sample_rate_hz: int
    tracks: dict[str, SetTrack]

    def path(self, track: SetTrack, stem: str) -> Path:
        """File of one stem of one track."""
        return track.path(self.root, self.sample_rate_hz, stem)


def track_folder(root: Path, name: str, sample_rate_hz: int) -> Path:
    """Folder of one track's files."""
    return root / f"tracks_{sample_rate_hz}hz" / name


def read_set(root: str | Path) -> StemSet:
    """Read a set's listing.

    Raises
    ------
    DatasetError
        If there is no listing, it is of another form, or it has no sample rate.
    """
    path = Path(root) / LISTING
    if not path.is_file():
        raise DatasetError(f"{root} holds no {LISTING}: render a stem set there with `splitstrument dataset render`.")
    data = read_yaml(path, MAX_LISTING_BYTES)
    if not isinstance(data, dict) or data.get("format") != FORMAT or not isinstance(data.get("tracks"), dict):
        raise DatasetError(f"{path} is no listing of format {FORMAT}: make the set again with this version.")
    rate = data.get("sample_rate_hz")
    if not isinstance(rate, int) or rate <= 0:
        raise DatasetError(f"{path} has the sample_rate_hz {rate!r}, which is no rate: make the set again.")
    return StemSet(Path(root), rate, {name: _track(name, entry) for name, entry in data["tracks"].items()})


def _track(name: str, entry: Any) -> SetTrack:
    """One entry of the listing.

    Raises
    ------
    DatasetError
        If a key is missing or unknown, or a stem has a name that no set has.
    """
    try:
        known, stems = tuple(entry.pop("known")), tuple(entry.pop("stems"))
        sounds = {stem: tuple(names) for stem, names in (entry.pop("sounds", None) or {}).items()}
        track = SetTrack(name, known, stems, sounds=sounds, **entry)
    except (AttributeError, KeyError, TypeError) as error:
        raise DatasetError(f"The track {name!r} of the listing is damaged ({error}): make the set again.") from None
    strange = sorted({*known, *stems} - set(STEMS))
    if strange:
        raise DatasetError(f"The track {name!r} has a stem {strange[0]!r}: expected some of {', '.join(STEMS)}.")
    return track


def write_listing(root: Path, sample_rate_hz: int, tracks: Iterable[SetTrack]) -> None:
    """Write the listing, sorted by name, whole or not at all."""
    entries = {}
    for track in sorted(tracks, key=lambda track: track.name):
        entry = asdict(track)
        del entry["name"]
        entry["sounds"] = {stem: list(names) for stem, names in (track.sounds or {}).items()}
        entries[track.name] = entry | {"known": list(track.known), "stems": list(track.stems)}
    write_yaml(root / LISTING, {"format": FORMAT, "sample_rate_hz": sample_rate_hz, "tracks": entries})


def write_files(root: Path, name: str, sounds: Mapping[str, np.ndarray], sample_rate_hz: int) -> list[Path]:
    """Write one track's stems; its folder appears when it is whole. Return the files.

    Parameters
    ----------
    sounds
        By stem, equally long (n_samples, 2): 16-bit numbers, or float32 of at most 1.

    Raises
    ------
    DatasetError
        If the stems differ in shape, or one has a name that no set has.
    """
    strange, shapes = sorted(set(sounds) - set(STEMS)), {sound.shape for sound in sounds.values()}
    if strange or len(shapes) != 1:
        raise DatasetError(
            f"{name} has stems {sorted(sounds)} of shapes {sorted(shapes)}: expected one shape, of {STEMS}."
        )
    folder = track_folder(root, name, sample_rate_hz)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with scratch_folder(root, ".part-") as part:
        work = Path(part, name)
        work.mkdir()
        for stem, sound in sounds.items():
            audio.write(work / f"{stem}_{name}{SUFFIX}", sound, sample_rate_hz, "PCM_16")
        if folder.is_dir():
            shutil.rmtree(folder)
        work.rename(folder)
    return [folder / f"{stem}_{name}{SUFFIX}" for stem in sounds]


def from_pairs(
    pairs: Path,
    root: Path,
    stem: str,
    silent: Iterable[str] = (),
    artist: str = "",
    part: str = "train",
    sample_rate_hz: int = 22_050,
) -> list[SetTrack]:
    """Make a set of instrument/rest pairs, real songs mostly: the rest becomes ``other``, which is not known.

    A set that is there grows; its track of the same name is replaced. A song with a peak above 1, which 16 bits cannot
    hold, is turned down as a whole.

    Parameters
    ----------
    stem
        Which stem the instrument is.
    silent
        Further stems of which it is known that nobody plays them.
    artist
        Groups all songs, so that a split keeps them together; without it each is its own group.

    Raises
    ------
    DatasetError
        If there are no pairs, a stem has a name that no set has, two songs would share one folder, or the set that is
        there has another rate.
    """
    known = (stem, *silent)
    strange = sorted(set(known) - set(STEMS[:-1]))
    if strange:
        raise DatasetError(f"No set can know a stem {strange[0]!r}: expected some of {', '.join(STEMS[:-1])}.")
    songs, listed = _by_track_name(find_pairs(pairs, sample_rate_hz)), _listed(root, sample_rate_hz)
    tracks = []
    for name, pair in songs.items():
        duration_s = check_pair(pair).n_samples / sample_rate_hz
        files = {stem: pair.instrument, "other": pair.rest}
        sounds = {each: _stereo(audio.read(path, sample_rate_hz)[0]) for each, path in files.items()}
        write_files(root, name, _below_full_scale(sounds), sample_rate_hz)
        made_of = dict.fromkeys(files, ("recorded",))
        track = SetTrack(name, known, tuple(files), artist or name, part, 0, round(duration_s, 3), made_of)
        tracks.append(track)
    write_listing(root, sample_rate_hz, (listed | {track.name: track for track in tracks}).values())
    return tracks


def _by_track_name(pairs: Iterable[Pair]) -> dict[str, Pair]:
    """Pairs by the names of their tracks; DatasetError if two would have one."""
    songs: dict[str, Pair] = {}
    for pair in pairs:
        name = safe_name(pair.name).replace(" ", "_")
        if name in songs:
            raise DatasetError(f"{songs[name].name!r} and {pair.name!r} would both be the track {name}: rename one.")
        songs[name] = pair
    return songs


def _listed(root: Path, sample_rate_hz: int) -> dict[str, SetTrack]:
    """Tracks of the set that is there, if there is one; DatasetError if it has another rate."""
    if not (root / LISTING).is_file():
        return {}
    there = read_set(root)
    if there.sample_rate_hz != sample_rate_hz:
        raise DatasetError(
            f"{root} is a stem set of {there.sample_rate_hz} Hz, not {sample_rate_hz}: give that rate or a new folder."
        )
    return there.tracks


def _below_full_scale(sounds: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """Stems of one song with peaks of at most 1: one gain for all, so that their sum is still the song."""
    peak = max(float(np.abs(sound).max(initial=0)) for sound in sounds.values())
    return {stem: sound / np.float32(peak) for stem, sound in sounds.items()} if peak > 1 else sounds


def _stereo(sound: np.ndarray) -> np.ndarray:
    return np.repeat(sound, 2, axis=1) if sound.shape[1] == 1 else sound[:, :2]
