"""Recall and false alarms of the automatic checks, and their speed, on defects put into good stems.

    python -m splitstrument.curation.checks.recall data/frets_on_fire data/corpus_dev --target guitar --seconds 60

Takes organised datasets, cuts an excerpt of each track that has the target and something else (stems that are silent
there are left out, and the mix is the sum of the stems that are kept), spoils the target's stem of each by every defect
of `splitstrument.curation.checks.defects`, and counts how often the right check says so. The untouched excerpts give
the false alarms. Prints Markdown tables.
"""

from __future__ import annotations

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import get_args

import numpy as np

from splitstrument import audio
from splitstrument.curation.checks.defects import DEFECTS, Patient, Track, write_track
from splitstrument.curation.checks.findings import CheckName, Finding
from splitstrument.curation.checks.run import TrackResult, check_track, duplicate_findings
from splitstrument.curation.checks.settings import CheckSettings
from splitstrument.curation.checks.tracks import read_track
from splitstrument.datasets.classes import MIX
from splitstrument.datasets.index import track_folders
from splitstrument.files import scratch_folder

CHECK_NAMES = get_args(CheckName)
SETTINGS = CheckSettings()


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("datasets", nargs="+", type=Path, help="organised datasets")
    parser.add_argument("--target", default="guitar", help="class whose stem is spoiled")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the excerpts")
    parser.add_argument("--tracks", type=int, default=100, help="at most this many tracks of each dataset")
    parser.add_argument("--only", choices=CHECK_NAMES, help="measure the recall of this check only")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    excerpts = {}
    for dataset in options.datasets:
        found = {
            folder.name: load_excerpt(folder, options.target, options.seconds) for folder in track_folders(dataset)
        }
        kept = {name: excerpt for name, excerpt in found.items() if excerpt is not None}
        excerpts.update(dict(list(kept.items())[: options.tracks]))
        print(f"{dataset.name}: {min(len(kept), options.tracks)} tracks of {options.seconds:g} s")
    with scratch_folder() as scratch:
        clean = print_false_alarms(excerpts, scratch)
        print_recall(excerpts, clean, options.target, options.only, rng, scratch)


def load_excerpt(folder: Path, target: str, seconds: float) -> tuple[Track, int] | None:
    """Stems of the middle of a track, the mix made anew; None if the target or everything else is silent there."""
    stems = read_track(folder)
    rate, n_samples = stems.sample_rate_hz, round(seconds * stems.sample_rate_hz)
    track: Track = {}
    for stem in stems.parts:
        start = max(0, (stem.info.n_samples - round(seconds * stem.info.sample_rate_hz)) // 2)
        length = round(seconds * stem.info.sample_rate_hz)
        samples = audio.resample(
            audio.read(stem.path, start=start, n_samples=length)[0], stem.info.sample_rate_hz, rate
        )
        samples = audio.fit_length(samples if samples.shape[1] == 2 else np.repeat(samples[:, :1], 2, 1), n_samples)
        if np.mean(np.abs(samples) > 0.01) > 0.02:
            track[stem.name] = samples
    classes = {name.split("/")[0] for name in track}
    if target not in classes or len(classes) < 2:
        return None
    track[f"{MIX}/mix.wav"] = np.sum(list(track.values()), axis=0)
    return track, rate


def checked(folder: Path, track: Track, rate: int, target: str | None, others: dict[str, TrackResult]) -> TrackResult:
    """Write a track, check it, and add what comparing it with the other tracks shows."""
    write_track(folder, track, rate)
    result = check_track(folder, target, SETTINGS)
    everyone = {**others, result.name: result}
    found = duplicate_findings(folder.parent, everyone, SETTINGS)
    result.findings += [finding for name, finding in found if name == result.name]
    return result


def print_false_alarms(excerpts: dict[str, tuple[Track, int]], scratch: Path) -> dict[str, TrackResult]:
    """Check the untouched excerpts; print which checks complain about how many tracks, and the speed."""
    clean: dict[str, TrackResult] = {}
    audio_s = stem_s = wall_s = 0.0
    for name, (track, rate) in excerpts.items():
        write_track(scratch / name, track, rate)
        seconds = len(next(iter(track.values()))) / rate
        started = time.process_time()
        clean[name] = check_track(scratch / name, None, SETTINGS)
        wall_s += time.process_time() - started
        audio_s, stem_s = audio_s + seconds, stem_s + seconds * len(track)
    for name, finding in duplicate_findings(scratch, clean, SETTINGS):
        clean[name].findings.append(finding)
    print(
        f"\nspeed: {audio_s / wall_s:.0f} s of music, {stem_s / wall_s:.0f} s of stems per second of one core's time\n"
    )
    stems = sum(len(track) - 1 for track, _ in excerpts.values())
    print(f"Untouched: {len(excerpts)} tracks, {stems} stems\n\n| check | stems or classes reported |\n|---|---|")
    alarms = Counter(finding.check for result in clean.values() for finding in result.findings)
    for check in CHECK_NAMES:
        where = sorted({f"{name}: {f.stem_class}" for name, r in clean.items() for f in r.findings if f.check == check})
        print(f"| {check} | {alarms[check]}{' (' + '; '.join(where) + ')' if where else ''} |")
    return clean


def print_recall(
    excerpts: dict[str, tuple[Track, int]],
    clean: dict[str, TrackResult],
    target: str,
    only: str | None,
    rng: np.random.Generator,
    scratch: Path,
) -> None:
    """Spoil every excerpt by every defect and print how many were found, and how high they rank."""
    print("\n| check | defect | found | of | ranks above untouched |\n|---|---|---|---|---|")
    worst_clean = sorted(max((f.severity for f in result.findings), default=0.0) for result in clean.values())
    for title, (check, defect) in DEFECTS.items():
        found, above, total = 0, [], 0
        if only not in (None, check):
            continue
        for name, (track, rate) in excerpts.items():
            patient = choose_patient(track, target, rate, rng)
            if patient is None:
                continue
            defect(patient)
            folder = scratch / "spoiled" / f"{name} spoiled"
            result = checked(folder, patient.track, rate, target, {})
            remove(folder)
            hits = [finding for finding in result.findings if finding.check == check and counts(finding, patient)]
            total += 1
            found += bool(hits)
            if hits:
                above.append(float(np.mean([hits[0].severity > other for other in worst_clean])))
        print(f"| {check} | {title} | {found} | {total} | {100 * np.mean(above or [0.0]):.0f} % |", flush=True)


def choose_patient(track: Track, target: str, rate: int, rng: np.random.Generator) -> Patient | None:
    """The target's first stem, and a stem of another class that is loud enough to be heard."""
    victims = [name for name in track if name.startswith(f"{target}/")]
    others = [name for name in track if name.split("/")[0] not in (target, MIX)]
    keep = {name: samples for name, samples in track.items() if name not in victims[1:]}
    mix = next(name for name in keep if name.startswith(f"{MIX}/"))
    keep[mix] = np.sum([samples for name, samples in keep.items() if name != mix], axis=0)
    return Patient(keep, victims[0], others[int(rng.integers(len(others)))], rate, rng)


def counts(finding: Finding, patient: Patient) -> bool:
    """Tell whether a finding names the class that was spoiled (or the mix, where the check is about it)."""
    return finding.stem_class in (patient.victim.split("/")[0], MIX)


def remove(folder: Path) -> None:
    """Delete a spoiled track."""
    for path in sorted(folder.rglob("*"), reverse=True):
        path.rmdir() if path.is_dir() else path.unlink()
    folder.rmdir()


if __name__ == "__main__":
    main()
