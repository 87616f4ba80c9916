"""How far a mix is from a published one in loudness, spectrum and dynamics: no mix, an automatic mix, the published.

    python -m splitstrument.mixing.distance data/fof_set data/muldjord_set --lead guitar
    python -m splitstrument.mixing.distance data/fof_set -o mixes --seconds 60

Songs of stem sets, whose files add up to the published mix. *No mix* is what a recording hands over: lead and backing
each at -23 LUFS, added. *Automatic* is what `automix` makes of the same two. Both, and the published mix, are brought
to one loudness before they are compared, so that none is nearer for being louder. With ``-o`` the three of each song
are kept for the listening test (`splitstrument listen`, see docs/mixing.md).

Distances: of the lead's loudness against its backing, in LU; of spectra, root mean square over octaves in dB; of
loudness ranges, in LU; of momentary loudness over time, less its mean, in LU. What is expected is no mix > automatic >
published (0, by definition); nothing but a listening test says which is better.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitstrument import audio
from splitstrument.audio import Audio
from splitstrument.errors import DatasetError
from splitstrument.files import safe_name, scratch_folder, write_json
from splitstrument.loudness import Loudness, LoudnessMeter, measure
from splitstrument.mixing.automix.bands import BandMeter
from splitstrument.mixing.automix.mix import automix_files
from splitstrument.mixing.automix.settings import AutomixSettings
from splitstrument.stem_set import SetTrack, StemSet, read_set

RAW_LUFS, COMPARED_LUFS = -23.0, -23.0
MIXES = ("no mix", "automatic")
QUIET_LUFS = -60.0


def song_parts(one: StemSet, track: SetTrack, lead: str, seconds: float | None) -> tuple[Audio, Audio, int] | None:
    """Lead and backing of the middle of a song, and their rate; None where one of them is not there."""
    if lead not in track.stems or len(track.stems) < 2:
        return None
    info = audio.probe(one.path(track, lead))
    n_samples = info.n_samples or 0
    length = n_samples if seconds is None else min(n_samples, round(seconds * info.sample_rate_hz))
    start = (n_samples - length) // 2
    parts = {name: audio.read(one.path(track, name), start=start, n_samples=length)[0] for name in track.stems}
    backing = np.sum([part.astype(np.float64) for name, part in parts.items() if name != lead], axis=0)
    return parts[lead], backing.astype(np.float32), info.sample_rate_hz


def three_mixes(lead: Audio, backing: Audio, sample_rate_hz: int) -> dict[str, tuple[Audio, Audio]] | None:
    """Each mix as its lead and backing (n_samples, n_channels), brought to one loudness; None where one is silent."""
    raw = [_at_loudness(part, sample_rate_hz, RAW_LUFS) for part in (lead, backing)]
    if raw[0] is None or raw[1] is None:
        return None
    mixes = {"no mix": (raw[0], raw[1]), "automatic": _automatic(raw[0], raw[1], sample_rate_hz)}
    mixes["published"] = (lead, backing)
    return {name: _brought(parts, sample_rate_hz) for name, parts in mixes.items()}


def _loudness(signal: Audio, sample_rate_hz: int) -> Loudness:
    return measure([signal], sample_rate_hz, signal.shape[1], true_peak=False)


def _at_loudness(signal: Audio, sample_rate_hz: int, wanted_lufs: float) -> Audio | None:
    level = _loudness(signal, sample_rate_hz).integrated_lufs
    return None if level is None or level < QUIET_LUFS else signal * np.float32(10 ** ((wanted_lufs - level) / 20))


def _automatic(lead: Audio, backing: Audio, sample_rate_hz: int) -> tuple[Audio, Audio]:
    """The automatic mix without its master, whose lead is what remains when the backing is taken away."""
    with scratch_folder() as folder:
        stems = {name: folder / f"{name}.wav" for name in ("lead", "backing")}
        for path, part in zip(stems.values(), (lead, backing), strict=True):
            audio.write(path, part, sample_rate_hz, "FLOAT")
        automix_files(stems, folder / "mix.wav", AutomixSettings(lead="lead", master=False))
        mixed = audio.read(folder / "mix.wav")[0]
    return mixed - backing, backing


def _brought(parts: tuple[Audio, Audio], sample_rate_hz: int) -> tuple[Audio, Audio]:
    level = _loudness(parts[0] + parts[1], sample_rate_hz).integrated_lufs or COMPARED_LUFS
    gain = np.float32(10 ** ((COMPARED_LUFS - level) / 20))
    return parts[0] * gain, parts[1] * gain


def describe(parts: tuple[Audio, Audio], sample_rate_hz: int) -> dict[str, Any]:
    """What mixes are compared by."""
    lead, backing = parts
    mixed = lead + backing
    meter, bands = LoudnessMeter(sample_rate_hz, mixed.shape[1], true_peak=False), BandMeter(sample_rate_hz)
    meter.add(mixed)
    bands.add(mixed, backing)
    levels = [_loudness(part, sample_rate_hz).integrated_lufs for part in parts]
    spectrum = bands.levels_db()
    return {
        "lead_lu": (levels[0] or QUIET_LUFS) - (levels[1] or QUIET_LUFS),
        "spectrum_db": np.zeros(0) if spectrum is None else spectrum[0],
        "range_lu": meter.result().range_lu or 0.0,
        "momentary_lufs": np.maximum(meter.momentary(), QUIET_LUFS),
    }


def distances(mix: dict[str, Any], published: dict[str, Any]) -> dict[str, float]:
    """Distances of one mix from another; all 0 for the same."""
    spectrum = mix["spectrum_db"] - published["spectrum_db"]
    course = mix["momentary_lufs"] - published["momentary_lufs"]
    return {
        "lead_lu": abs(mix["lead_lu"] - published["lead_lu"]),
        "spectrum_db": _rms(spectrum),
        "range_lu": abs(mix["range_lu"] - published["range_lu"]),
        "course_lu": _rms(course - course.mean()) if len(course) else 0.0,
    }


def _rms(values: NDArray[np.float64]) -> float:
    return float(np.sqrt(np.mean(np.square(values)))) if len(values) else 0.0


def compare(sets: Sequence[StemSet], lead: str, seconds: float | None, kept: Path | None) -> dict[str, Any]:
    """Distances of every song, and their medians.

    Raises
    ------
    DatasetError
        If no song has a lead and a backing that are heard.
    """
    songs: dict[str, dict[str, dict[str, float]]] = {}
    for one in sets:
        for track in one.tracks.values():
            parts = song_parts(one, track, lead, seconds)
            mixes = parts and three_mixes(*parts)
            if not parts or not mixes:
                continue
            described = {name: describe(mix, parts[2]) for name, mix in mixes.items()}
            name = f"{one.root.name}/{track.name}"
            songs[name] = {mix: distances(described[mix], described["published"]) for mix in MIXES}
            if kept:
                _keep(mixes, kept, safe_name(name.replace("/", "_")), parts[2])
    if not songs:
        raise DatasetError(f"No song has a {lead} and a backing that are heard: check --lead and the sets.")
    keys = list(next(iter(songs.values()))[MIXES[0]])
    medians = {
        mix: {key: round(float(np.median([song[mix][key] for song in songs.values()])), 2) for key in keys}
        for mix in MIXES
    }
    nearer = {key: sum(song["automatic"][key] < song["no mix"][key] for song in songs.values()) for key in keys}
    return {"n_songs": len(songs), "median": medians, "automatic_is_nearer": nearer, "songs": songs}


def _keep(mixes: dict[str, tuple[Audio, Audio]], folder: Path, song: str, sample_rate_hz: int) -> None:
    for name, (lead, backing) in mixes.items():
        audio.write(folder / name.replace(" ", "_") / f"{song}.wav", lead + backing, sample_rate_hz, "FLOAT")


def main(arguments: list[str] | None = None) -> None:
    """Compare and print the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sets", nargs="+", type=Path, help="stem sets whose files add up to published mixes")
    parser.add_argument("--lead", default="guitar", help="stem that leads (default guitar)")
    parser.add_argument("--seconds", type=float, help="take this much from the middle of each song (default: all)")
    parser.add_argument("-o", "--output", type=Path, help="folder for the three mixes of each song, and distances.json")
    options = parser.parse_args(arguments)
    found = compare([read_set(root) for root in options.sets], options.lead, options.seconds, options.output)
    if options.output:
        write_json(options.output / "distances.json", found)
    print(json.dumps({key: value for key, value in found.items() if key != "songs"}, indent=2))


if __name__ == "__main__":
    main()
