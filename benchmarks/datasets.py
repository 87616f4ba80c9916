"""How fast and in how much memory datasets are made: organise + mix + silence.

    python benchmarks/datasets.py [--songs FOLDER] [--rendered PAIRS] [--hours H] [--json FILE]

1. Speed, as a multiple of real time per core (seconds of music / seconds of processor time), on the four Frets on Fire
   songs and on 30 s of 50 rendered tracks, both rates, stereo; beside the floor: decode once, encode the same files.
2. Workers: wall time with one process over two, in the same run (needs two idle cores to mean anything).
3. Memory: peak of a fresh process that mixes (to mono 22,050 Hz) and cuts a track of three minutes, one of H hours.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile

from splitstrument import audio
from splitstrument.datasets.build import build
from splitstrument.datasets.mix import MixSettings, mix_track
from splitstrument.datasets.recipe import DatasetRecipe
from splitstrument.datasets.silence import SilenceSettings
from splitstrument.datasets.silence_cut import cut_track, pairs_by_track
from splitstrument.executor import track_executor
from splitstrument.pairs import find_pairs

RATES = (44100, 22050)
SILENCE = {"below_audible": 0.99, "to": 0.99}
N_RENDERED = 50
EXCERPT_S = 30


def recipe(raw: Path, output: Path) -> DatasetRecipe:
    """Everything that a build may do to a song."""
    return DatasetRecipe.model_validate(
        {
            "name": "benchmark",
            "target": "guitar",
            "output": output,
            "sources": [{"source": "rockband", "root": raw}],
            "mix": {"require_checked": False, "sample_rates_hz": RATES},
            "silence": SILENCE,
        }
    )


def timed_build(raw: Path, output: Path, jobs: int) -> tuple[float, float]:
    """Wall and processor seconds of a build from nothing."""
    shutil.rmtree(output, ignore_errors=True)
    wall, own, children = (
        time.perf_counter(),
        _processor_s(resource.RUSAGE_SELF),
        _processor_s(resource.RUSAGE_CHILDREN),
    )
    with track_executor(jobs) as executor:
        build(recipe(raw, output), executor, quiet=True)
    used = _processor_s(resource.RUSAGE_SELF) - own + _processor_s(resource.RUSAGE_CHILDREN) - children
    return time.perf_counter() - wall, used


def _processor_s(who: int) -> float:
    usage = resource.getrusage(who)
    return usage.ru_utime + usage.ru_stime


def seconds_of_music(raw: Path) -> float:
    """Total length of the songs."""
    return sum(audio.probe(path).duration_s for path in raw.rglob("guitar.*"))


def floor_s(raw: Path, output: Path, scratch: Path) -> float:
    """Processor seconds to decode every raw file once and to encode every finished file once: none can be saved."""
    start = _processor_s(resource.RUSAGE_SELF)
    for path in sorted(path for path in raw.rglob("*") if audio.is_audio_name(path)):
        soundfile.read(path, dtype="float32")
    used = _processor_s(resource.RUSAGE_SELF) - start
    for path in sorted(output.glob("tracks_*/*/*.flac")):
        samples, rate = soundfile.read(path, dtype="float32")
        start = _processor_s(resource.RUSAGE_SELF)
        soundfile.write(scratch / "floor.flac", samples, rate, "PCM_24")
        used += _processor_s(resource.RUSAGE_SELF) - start
    return used


def rendered_songs(folders: list[Path], folder: Path) -> str:
    """Lay rendered pairs out as game songs; without any, make songs of noise. Returns what they are."""
    pairs = [pair for source in folders for pair in find_pairs(source)][:N_RENDERED]
    for number, pair in enumerate(pairs):
        (folder / f"{number:02d} {pair.name}").mkdir(parents=True)
        for path, name in ((pair.instrument, "guitar"), (pair.rest, "song")):
            samples, rate = audio.read(path, n_samples=EXCERPT_S * audio.probe(path).sample_rate_hz)
            audio.write(folder / f"{number:02d} {pair.name}" / f"{name}.flac", samples, rate)
    if pairs:
        return f"{len(pairs)} rendered tracks, {EXCERPT_S} s of each"
    for number in range(N_RENDERED):
        write_song(folder / f"song {number:02d}", 30.0, np.random.default_rng(number))
    return f"{N_RENDERED} tracks of noise of 30 s (no rendered pairs given)"


def write_song(folder: Path, seconds: float, rng: np.random.Generator) -> None:
    """Noise with silences on the guitar, over noise; block by block, so that it may be hours long."""
    n_blocks = max(1, round(seconds))
    for name in ("guitar", "song"):
        with audio.AudioWriter(folder / f"{name}.flac", 44100, 2, "PCM_16") as writer:
            for second in range(n_blocks):
                level = 0.0 if name == "guitar" and second % 30 < 10 else 0.2
                writer.write((level * rng.standard_normal((44100, 2), np.float32)).clip(-0.9, 0.9))


def speed(name: str, raw: Path, work: Path) -> dict[str, object]:
    """Multiple of real time, with the floor of the codecs beside."""
    music = seconds_of_music(raw)
    _, used = timed_build(raw, work / "one", 1)
    floor = floor_s(raw, work / "one", work)
    row = {
        "what": name,
        "music_s": round(music),
        "times_real_time_per_core": round(music / used, 1),
        "codec_floor_times_real_time": round(music / floor, 1),
        "share_of_floor": round(floor / used, 2),
    }
    print(json.dumps(row))
    return row


def workers(raw: Path, work: Path) -> dict[str, object]:
    """Wall time with one and with two processes, after a first run that warms the disk's cache."""
    walls = {jobs: timed_build(raw, work / f"jobs{jobs}", jobs)[0] for jobs in (1, 2)}
    row = {
        "one_worker_s": round(walls[1], 1),
        "two_workers_s": round(walls[2], 1),
        "speed_up": round(walls[1] / walls[2], 2),
    }
    print(json.dumps(row))
    return row


def memory(hours: float, work: Path) -> dict[str, object]:
    """Peak memory of a fresh process for a short and for a long track."""
    peaks = {}
    for name, seconds in (("three minutes", 180.0), (f"{hours:g} hours", hours * 3600)):
        folder = work / name / "stems" / "song"
        write_song(work / name / "raw", seconds, np.random.default_rng(1))
        for raw, stem_class in (("guitar", "guitar"), ("song", "other")):
            (folder / stem_class).mkdir(parents=True)
            (work / name / "raw" / f"{raw}.flac").rename(folder / stem_class / f"{raw}.flac")
        command = [sys.executable, __file__, "--one", str(work / name)]
        peaks[name] = int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
        shutil.rmtree(work / name)
    short, long = peaks.values()
    row = {"peak_MB": {name: round(peak / 1024) for name, peak in peaks.items()}, "ratio": round(long / short, 2)}
    print(json.dumps(row))
    return row


def one_track(folder: Path) -> None:
    """In a process of its own: mix and cut one track, print the peak memory in kB."""
    options = {"target": "guitar", "require_checked": False, "sample_rates_hz": (22050,), "channels": "mono"}
    mix_track(folder / "stems" / "song", folder / "mixed", MixSettings.model_validate(options))
    (pairs,) = pairs_by_track(folder / "mixed").values()
    cut_track(pairs, folder / "mixed", folder / "out", SilenceSettings.model_validate(SILENCE))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    """Run the three parts and print one line of JSON for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--songs", type=Path, default=Path("data/raw/sectoid"), help="Frets on Fire songs")
    parser.add_argument("--rendered", type=Path, nargs="*", default=[], help="folders of rendered pairs")
    parser.add_argument("--hours", type=float, default=3.0, help="length of the long track")
    parser.add_argument("--json", type=Path, help="write the results here")
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        one_track(arguments.one)
        return
    results = []
    with tempfile.TemporaryDirectory(prefix="datasets-", dir=os.environ.get("TMPDIR")) as folder:
        work = Path(folder)
        what = rendered_songs(arguments.rendered, work / "rendered")
        results.append(speed(what, work / "rendered", work))
        if arguments.songs.is_dir():
            results.append(speed("the four Frets on Fire songs", arguments.songs, work))
        results.append(workers(work / "rendered", work))
        results.append(memory(arguments.hours, work))
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
