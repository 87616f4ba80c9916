"""Run the checks over a track or a whole dataset: in parallel, resumable, in bounded memory."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from splitstrument.audio import Audio, blocks
from splitstrument.audio.plausible import is_rate
from splitstrument.curation.checks.bleed import BleedMeter
from splitstrument.curation.checks.clipping import ClippingMeter
from splitstrument.curation.checks.duplicates import Duplicate, find_duplicates
from splitstrument.curation.checks.findings import MAX_SPANS, ChecksFile, Finding, TrackChecks
from splitstrument.curation.checks.fingerprints import Fingerprint, fingerprint
from splitstrument.curation.checks.levels import LevelMeter, length_findings, level_findings, missing_findings
from splitstrument.curation.checks.settings import CheckSettings
from splitstrument.curation.checks.sums import SumMeter
from splitstrument.curation.checks.tracks import Stem, TrackStems, aligned_seconds, bounded, class_sums, read_track
from splitstrument.datasets.classes import EXCLUDED, MIX
from splitstrument.datasets.index import track_folders
from splitstrument.errors import AudioFileError
from splitstrument.executor import run_batch
from splitstrument.files import atomic_path
from splitstrument.recognition.classes import classes_of_name
from splitstrument.recognition.content import disagreement
from splitstrument.recognition.listen import Listener
from splitstrument.recognition.timeline import Timeline
from splitstrument.settings import validate

CACHE_FOLDER = ".checks"
ACTIVE_PERCENT = 90.0
OWN_MIX_CORRELATION = 0.995


@dataclass
class TrackResult:
    """Findings of one track, and the fingerprints with which it is compared to the others."""

    name: str
    findings: list[Finding]
    fingerprints: dict[str, Fingerprint] = field(default_factory=dict)


@dataclass
class DatasetResult:
    """Findings of all tracks, and the tracks that could not be checked with the reason."""

    checks: ChecksFile
    failures: dict[str, str]


def check_dataset(
    dataset: str | Path,
    executor: Executor,
    target: str | None = None,
    settings: CheckSettings | None = None,
    quiet: bool = False,
) -> DatasetResult:
    """Check every track of an organised dataset.

    Results per track are kept in ``.checks`` inside it, so that a run that was interrupted, or repeated after a few
    tracks changed, reads only what is new.

    Raises
    ------
    DatasetError
        If there is no organised track.
    """
    settings = settings or CheckSettings()
    work = partial(check_track_cached, target=target, settings=settings)
    batch = run_batch(work, track_folders(dataset), executor, "checking", lambda folder: folder.name, quiet)
    results = batch.results
    findings = {name: list(result.findings) for name, result in results.items()}
    for name, found in duplicate_findings(Path(dataset), results, settings):
        findings[name].append(found)
    tracks = {name: TrackChecks(findings=tuple(sorted(found, key=_worst_first))) for name, found in findings.items()}
    return DatasetResult(ChecksFile(target=target, settings=settings, tracks=tracks), batch.failures)


def check_track_cached(folder: Path, target: str | None, settings: CheckSettings) -> TrackResult:
    """`check_track`, or its result from before if neither the files nor the settings have changed since."""
    cache = folder.parent / CACHE_FOLDER / f"{folder.name}.npz"
    key = _cache_key(folder, target, settings)
    known = _read_cache(cache, folder.name, key)
    if known is None:
        known = check_track(folder, target, settings)
        _write_cache(cache, known, key)
    return known


def check_track(folder: str | Path, target: str | None = None, settings: CheckSettings | None = None) -> TrackResult:
    """All checks that need one track only.

    Parameters
    ----------
    target
        The instrument to extract: it must be there, and bleed is measured from and to it only. None: all classes.
    """
    settings = settings or CheckSettings()
    track, measured = measure_stems(read_track(folder), settings)
    levels = {stem: one.level for stem, one in measured.items()}
    found = missing_findings(track, target) + length_findings(track, settings)
    found += level_findings(levels) + [finding for one in measured.values() for finding in one.clipping.findings()]
    found += content_findings(measured, settings) + _measure_together(track, levels, target, settings)
    prints = {f"{track.name}/{stem.name}": one.fingerprint for stem, one in measured.items()}
    return TrackResult(track.name, sorted(found, key=_worst_first), prints)


@dataclass
class MeasuredStem:
    """Everything that one pass over one stem tells."""

    level: LevelMeter
    clipping: ClippingMeter
    fingerprint: Fingerprint
    timeline: Timeline | None


def measure_stems(track: TrackStems, settings: CheckSettings) -> tuple[TrackStems, dict[Stem, MeasuredStem]]:
    """Read each stem once; those that break off while reading move to the track's unreadable ones."""
    measured: dict[Stem, MeasuredStem] = {}
    unreadable = dict(track.unreadable)
    for stem in track.stems:
        if stem.stem_class == EXCLUDED:
            continue
        try:
            measured[stem] = measure_stem(stem, settings)
        except AudioFileError as error:
            unreadable[stem.name] = str(error)
    return TrackStems(track.folder, track.classes, tuple(measured), unreadable), measured


def measure_stem(stem: Stem, settings: CheckSettings) -> MeasuredStem:
    """Level, clipping, fingerprint and instruments of one stem, from a single decoding."""
    rate = stem.info.sample_rate_hz
    level, clipping = LevelMeter(rate, settings), ClippingMeter(stem, settings)
    with contextlib.ExitStack() as stack:
        listener = None
        if classes_of_name(stem.stem_class) and is_rate(rate):
            listener = stack.enter_context(contextlib.closing(Listener(stem.info.n_channels, rate)))

        def metered() -> Iterator[Audio]:
            for block in blocks(stem.path, rate):
                level.update(block)
                clipping.update(block)
                if listener:
                    listener.add(bounded(block))
                yield bounded(block)

        prints = fingerprint(metered(), rate)
        return MeasuredStem(level, clipping, prints, listener.finish() if listener else None)


def content_findings(measured: Mapping[Stem, MeasuredStem], settings: CheckSettings) -> list[Finding]:
    """Stems that sound like another instrument than the class they are filed under."""
    found = []
    for stem, one in measured.items():
        other = disagreement(one.timeline, stem.stem_class) if one.timeline else None
        if other is None or other.score < settings.mislabelled_score:
            continue
        found.append(
            Finding(
                check="mislabelled",
                stem_class=stem.stem_class,
                severity=round(min(1.0, 0.4 + 0.5 * max(0.0, other.score)), 3),
                message=other.message,
                files=(stem.name,),
                seconds=tuple((round(s.start_s, 2), round(s.end_s, 2)) for s in other.spans[:MAX_SPANS]),
                value=round(other.score, 4),
            )
        )
    return found


def _measure_together(
    track: TrackStems, meters: Mapping[Stem, LevelMeter], target: str | None, settings: CheckSettings
) -> list[Finding]:
    """Bleed between the classes, and the sum against the mix, in one pass over all stems side by side."""
    active = _active_levels(track, meters)
    bleed = BleedMeter(active, track.sample_rate_hz, target, settings)
    sums = SumMeter(track.parts, track.of_class(MIX), settings)
    compare = bool(track.parts and sums.mixes)
    if not bleed.pairs and not compare:
        return []
    for second in aligned_seconds([*track.parts, *sums.mixes], track.sample_rate_hz):
        if bleed.pairs:
            bleed.update(class_sums(second))
        if compare:
            sums.update(second)
    files = {name: tuple(stem.name for stem in track.of_class(name)) for name in active}
    return bleed.findings(files) + (sums.findings() if compare else [])


def _active_levels(track: TrackStems, meters: Mapping[Stem, LevelMeter]) -> dict[str, float]:
    """Level of each class when it plays; classes that never do are left out."""
    powers: dict[str, float] = {}
    for stem in track.parts:
        level = meters[stem].active_dbfs(ACTIVE_PERCENT)
        if level is not None:
            powers[stem.stem_class] = powers.get(stem.stem_class, 0.0) + 10 ** (level / 10)
    return {name: float(10 * np.log10(power)) for name, power in powers.items()}


def duplicate_findings(
    dataset: Path, results: Mapping[str, TrackResult], settings: CheckSettings
) -> list[tuple[str, Finding]]:
    """Track name and finding for both sides of every duplicate; a mix is compared with other tracks' stems only."""
    prints = {name: one for result in results.values() for name, one in result.fingerprints.items()}
    found = []
    for duplicate in find_duplicates(prints, {name: dataset / name for name in prints}, settings):
        sides = (duplicate.first.split("/", 2), duplicate.second.split("/", 2))
        same_track = sides[0][0] == sides[1][0]
        if same_track and MIX in (sides[0][1], sides[1][1]) and abs(duplicate.correlation) < OWN_MIX_CORRELATION:
            continue  # a stem that dominates its mix is no copy of it
        for side, other in zip(sides, (duplicate.second, duplicate.first), strict=True):
            found.append((side[0], _duplicate_finding(side, other, duplicate, same_track, sides[0][1] == sides[1][1])))
    return found


def _duplicate_finding(
    side: list[str], other: str, duplicate: Duplicate, same_track: bool, same_class: bool
) -> Finding:
    start = duplicate.start_s if other == duplicate.second else max(0.0, duplicate.start_s + duplicate.shift_s)
    return Finding(
        check="duplicate",
        stem_class=side[1],
        severity=0.5 if same_track and same_class else 0.85,
        message=duplicate.message(other),
        files=("/".join(side[1:]),),
        seconds=((round(start, 2), round(start + 5, 2)),),
        value=abs(duplicate.correlation),
    )


def _worst_first(finding: Finding) -> tuple[float, str, str]:
    return (-finding.severity, finding.stem_class, finding.check)


def _cache_key(folder: Path, target: str | None, settings: CheckSettings) -> str:
    """Changes with the settings and with name, size or time of any file below the track's class folders."""
    inner: Sequence[Path] = sorted(path for path in folder.glob("*/*") if path.is_file())
    files = [(str(path.relative_to(folder)), path.stat().st_size, path.stat().st_mtime_ns) for path in inner]
    folders = sorted(path.name for path in folder.iterdir() if path.is_dir())
    text = json.dumps([files, folders, target, settings.model_dump(mode="json")])
    return hashlib.sha256(text.encode()).hexdigest()


def _read_cache(path: Path, name: str, key: str) -> TrackResult | None:
    try:
        with np.load(path, allow_pickle=False) as data:
            record = json.loads(str(data["record"]))
            if record["key"] != key:
                return None
            findings = [validate(one, Finding, str(path)) for one in record["findings"]]
            prints = {
                stem: Fingerprint(data[f"hashes_{index}"], data[f"frames_{index}"])
                for index, stem in enumerate(record["stems"])
            }
    except (OSError, ValueError, KeyError):
        return None
    return TrackResult(name, findings, prints)


def _write_cache(path: Path, result: TrackResult, key: str) -> None:
    record = {
        "key": key,
        "findings": [finding.model_dump(mode="json") for finding in result.findings],
        "stems": list(result.fingerprints),
    }
    arrays = {}
    for index, one in enumerate(result.fingerprints.values()):
        arrays[f"hashes_{index}"], arrays[f"frames_{index}"] = one.hashes, one.frames
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        # numpy's stub takes any key of ** for `allow_pickle`
        np.savez_compressed(file, record=np.array(json.dumps(record)), **arrays)  # type: ignore[arg-type]
