"""Find the seconds that a shipped model spoils most, and put them beside its card to hear.

    python -m splitstrument.release.failures guitar
    python -m splitstrument.release.failures piano --pairs data/corpus/dev/heldout/test/piano --tracks 'freedoom_*'

Looks through the excerpts that ship (`datasets/sample`) or other songs that no model was trained on and whose licences
allow passing them on, window by window. Writes failures.yaml and OGG files into the model's folder: for each of the
worst windows, at most one a song, the song, what the model takes for the instrument, and the instrument; and the window
without the instrument in which most of it comes out all the same. The demonstrator's page of models plays them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy as np

from splitstrument import audio
from splitstrument.evaluation.metrics.si_sdr import level_db, si_sdr
from splitstrument.files import write_yaml
from splitstrument.model_folder import find_model
from splitstrument.pairs import find_pairs
from splitstrument.release.ship import SAMPLES, first_stem

AUDIBLE_DB = -20.0  # an instrument this far below its rest, or less, counts as playing


@dataclass(frozen=True)
class Window:
    """Some seconds of a song; `sounds` also has their rate.

    Attributes
    ----------
    gain_db
        SI-SDR of the model's answer over that of the mixture.
    leak_db
        Level of the answer to the rest alone against the rest.
    """

    song: str
    start_s: float
    sounds: dict[str, Any]
    gain_db: float
    leak_db: float


def main() -> None:
    """Write one model's failures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", choices=SAMPLES)
    parser.add_argument("--pairs", type=Path, help="folder of pairs [default: the excerpts that ship]")
    parser.add_argument("--tracks", default="*", help="pattern of the songs' names: those that may be passed on")
    parser.add_argument("--seconds", type=int, default=8)
    parser.add_argument("--count", type=int, default=2, help="songs of which the worst seconds are kept")
    arguments = parser.parse_args()
    folder = find_model(arguments.model).path
    worst, leak = _choose(arguments)
    for path in folder.glob("failure_*.ogg"):
        path.unlink()
    entries = [_write(folder, number, _title(window), window) for number, window in enumerate(worst, 1)]
    entries.append(_write(folder, len(worst) + 1, _leak_title(leak, find_model(arguments.model).settings.target), leak))
    write_yaml(folder / "failures.yaml", {"failures": entries})
    for entry in entries:
        print(entry["title"])


def _choose(arguments: argparse.Namespace) -> tuple[list[Window], Window]:
    """The worst window of each of the worst songs, and the one with the loudest leak."""
    worst, leaks = [], []
    pairs = find_pairs(arguments.pairs or SAMPLES[arguments.model])
    for pair in (pair for pair in pairs if fnmatch(pair.name, arguments.tracks)):
        windows = list(windows_of(pair.instrument, pair.rest, pair.name, arguments.model, arguments.seconds))
        worst.append(min(windows, key=lambda window: window.gain_db))
        leaks.append(max(windows, key=lambda window: window.leak_db))
    worst.sort(key=lambda window: window.gain_db)
    leak = max(leaks, key=lambda window: window.leak_db)
    return worst[: arguments.count], _only_rest(leak)


def windows_of(instrument_path: Path, rest_path: Path, song: str, model: str, seconds: int) -> Iterator[Window]:
    """Every window in which the instrument plays."""
    (instrument, rate_hz), (rest, _) = audio.read(instrument_path), audio.read(rest_path)
    mixture = instrument + rest
    answer, leak = (first_stem(sound, rate_hz, model) for sound in (mixture, rest))
    size = seconds * rate_hz
    for start in range(0, max(1, len(mixture) - size + 1), size // 2):
        here = slice(start, start + size)
        if level_db(instrument[here], rest[here]) < AUDIBLE_DB:
            continue
        gain = si_sdr(instrument[here], answer[here]) - si_sdr(instrument[here], mixture[here])
        sounds = {
            "song": mixture[here], "model": answer[here], "instrument": instrument[here], "rest": rest[here],
            "leak": leak[here], "rate_hz": rate_hz,
        }  # fmt: skip
        yield Window(song, start / rate_hz, sounds, gain, level_db(leak[here], rest[here]))


def _only_rest(window: Window) -> Window:
    sounds = {"song": window.sounds["rest"], "model": window.sounds["leak"], "rate_hz": window.sounds["rate_hz"]}
    return Window(window.song, window.start_s, sounds, window.gain_db, window.leak_db)


def _title(window: Window) -> str:
    return f"{window.song}, from {window.start_s:.0f} s: SI-SDR {window.gain_db:+.1f} dB against the song itself"


def _leak_title(window: Window, target: str) -> str:
    where = f"{window.song}, from {window.start_s:.0f} s, without its {target}"
    return f"{where}: what comes out all the same is {window.leak_db:.0f} dB of it"


def _write(folder: Path, number: int, title: str, window: Window) -> dict[str, object]:
    """Write the sounds of one window; returns its entry in the list."""
    sounds = {}
    for label in ("song", "model", "instrument"):
        if label in window.sounds:
            name = f"failure_{number}_{label}.ogg"
            mono = window.sounds[label].mean(axis=1, keepdims=True)
            audio.write(folder / name, mono / max(1.0, float(np.abs(mono).max())), window.sounds["rate_hz"])
            sounds[label] = name
    return {"title": title, "sounds": sounds}


if __name__ == "__main__":
    main()
