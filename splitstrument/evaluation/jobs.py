"""One track, from references to records with the scores of every system, one for each stem: the unit of parallel work.

A record is plain data and is stored as JSON beside a key that says what went in, so that a killed evaluation goes on
where it was and a changed one starts again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from splitstrument import audio
from splitstrument.errors import AudioFileError
from splitstrument.evaluation.excerpts import write_excerpt
from splitstrument.evaluation.metrics.registry import FAMILIES, SOURCES, metrics
from splitstrument.evaluation.problems import Problem, SignalProblems, file_problems
from splitstrument.evaluation.schema import ESTIMATE, TrackRecord
from splitstrument.evaluation.systems import STEREO_ONLY, Eq
from splitstrument.evaluation.tracks import EstimateFiles, estimates_in_files, pair_blocks, score_systems
from splitstrument.files import safe_path, sha256_of, write_json
from splitstrument.pairs import Pair, check_pair, check_whole
from splitstrument.separation.options import INSTRUMENT, SeparationOptions
from splitstrument.separation.pipeline import LoadedModel, load_model
from splitstrument.separation.samples import Native
from splitstrument.separation.separator import Separator, SongStream
from splitstrument.spectrogram import Float
from splitstrument.user_code import blaming, plugin_files

RECORD_FORMAT = 2


@dataclass(frozen=True)
class ModelEstimates:
    """Estimates that a model makes now.

    Attributes
    ----------
    stem
        Which one of the model's instruments is scored, by the name of its stem.
    """

    model: str
    options: SeparationOptions = field(default_factory=SeparationOptions)
    stem: str = INSTRUMENT


@dataclass(frozen=True)
class FileEstimates:
    """Estimates that lie in files, whoever made them; None where there is none.

    Attributes
    ----------
    sources
        Those that there should be a file of; the others are the mixture minus them.
    """

    instrument: Path | None
    rest: Path | None
    sources: tuple[str, ...] = SOURCES


@dataclass(frozen=True)
class TrackJob:
    """Everything that scoring one track needs.

    Attributes
    ----------
    systems
        Baselines and ceilings to score beside the estimates.
    n_fft
        Of the oracle masks and the fixed EQ.
    folder
        Where the record, the excerpt and, if wanted, the estimates go.
    threads
        Metrics that are computed at the same time; no value depends on it.
    """

    pair: Pair
    estimates: ModelEstimates | FileEstimates
    systems: tuple[str, ...]
    n_fft: int
    folder: Path
    eq: Eq | None = None
    framewise: bool = True
    keep_estimates: bool = False
    excerpts: bool = True
    threads: int = 1

    @property
    def record_path(self) -> Path:
        """Return the path of the record."""
        return self.folder / "tracks" / safe_path(f"{self.pair.name}.json")


def evaluate_stems(jobs: Sequence[TrackJob]) -> list[TrackRecord]:
    """Score the stems of one track, which are separated together; stored records of which nothing changed stay.

    Parameters
    ----------
    jobs
        One for each stem; their pairs are of the same track, and their sums the same song.
    """
    check_whole(jobs[0].pair)
    keys = [job_key(job) for job in jobs]
    stored = [read_record(job.record_path) for job in jobs]
    known = [record if record and record.get("key") == key else None for record, key in zip(stored, keys, strict=True)]
    to_do = [job for job, record in zip(jobs, known, strict=True) if record is None]
    try:
        times = _separate(jobs[0].pair, to_do) if to_do else {}
        return [record or _evaluated(job, key, times) for job, key, record in zip(jobs, keys, known, strict=True)]
    finally:  # after Ctrl-C as well
        for job in to_do:
            _drop_temporary(job)


def _evaluated(job: TrackJob, key: str, times: dict[str, Any]) -> TrackRecord:
    with blaming(plugin_files(FAMILIES).values()):
        record = TrackRecord(format=RECORD_FORMAT, key=key, **_score_track(job, times))
    write_json(job.record_path, record)
    return read_record(job.record_path) or record  # read back, so that a resumed evaluation ends with the same bytes


def job_key(job: TrackJob) -> str:
    """Hash of all that influences a record: contents of the files, model, settings."""
    parts: list[Any] = [RECORD_FORMAT, job.pair.name, job.systems, job.n_fft, job.framewise, job.excerpts]
    parts += [list(metrics()), *(sha256_of(file) for file in plugin_files(FAMILIES).values())]
    parts += [*map(sha256_of, (job.pair.instrument, *job.pair.rests)), job.keep_estimates]
    if isinstance(job.estimates, ModelEstimates):
        model = _model(job.estimates.model, job.estimates.options.engine, job.estimates.options.threads)
        parts += [model.folder.description.files, model.engine.name, job.estimates.options.model_dump()]
        parts += [job.estimates.stem] if len(model.settings.names) > 1 else []
    else:
        files = (job.estimates.instrument, job.estimates.rest)
        parts += [path and path.is_file() and sha256_of(path) for path in files]
    if job.eq:
        gains = (job.eq.gains, job.eq.mid_side)
        parts += [hashlib.sha256(part.tobytes()).hexdigest() for part in gains if part is not None]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()


def read_record(path: Path) -> TrackRecord | None:
    """A stored record, or None where there is none that can be read."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return cast(TrackRecord, record) if isinstance(record, dict) else None


def _score_track(job: TrackJob, times: dict[str, Any]) -> TrackRecord:
    info = audio.probe(job.pair.instrument)
    started = time.perf_counter()
    estimates, problems = _open_estimates(job)
    if estimates:
        estimates, problems = _checked(job, estimates, problems)
    record: dict[str, Any] = {
        "track": job.pair.name,
        "seconds": info.duration_s,
        "sample_rate_hz": info.sample_rate_hz,
        "n_channels": info.n_channels,
        "problems": [{"kind": problem.kind, "sentence": problem.sentence} for problem in problems],
        "scores": {},
        **times,
    }
    if estimates and job.excerpts:
        record["excerpt"] = write_excerpt(job.pair, estimates, job.folder)
    systems = [name for name in job.systems if info.n_channels == 2 or name not in STEREO_ONLY]
    scores = score_systems(job.pair, systems, job.n_fft, job.eq, estimates, job.framewise, job.threads)
    record["scores"] = dict(zip([*systems, ESTIMATE], scores, strict=False))
    record["elapsed_s"] = round(times.get("separation_s", 0.0) + time.perf_counter() - started, 3)
    record["peak_memory_mb"] = peak_memory_mb()
    return cast(TrackRecord, _plain(record))


def _checked(
    job: TrackJob, estimates: EstimateFiles, problems: list[Problem]
) -> tuple[EstimateFiles | None, list[Problem]]:
    """Look through the estimates; files that turn out to be damaged on reading are a problem, not an end."""
    try:
        return estimates, problems + SignalProblems(job.pair, estimates).problems()
    except AudioFileError as error:
        return None, [Problem("unreadable", str(error))]


def _open_estimates(job: TrackJob) -> tuple[EstimateFiles | None, list[Problem]]:
    if isinstance(job.estimates, ModelEstimates):
        return estimates_in_files(job.pair, _estimate_path(job), None), []
    usable: dict[str, Path | None] = dict.fromkeys(SOURCES)
    problems = []
    for source in job.estimates.sources:
        path = getattr(job.estimates, source)
        ok, found = file_problems(path, source, job.pair)
        usable[source] = path if ok else None
        problems += found
    if not any(usable.values()):
        return None, problems
    for source, other in (("instrument", "rest"), ("rest", "instrument")):
        if source in job.estimates.sources and usable[source] is None:
            problems.append(
                Problem("computed", f"{job.pair.name}: {source} was taken to be mixture - {other}, for lack of a file.")
            )
    return estimates_in_files(job.pair, usable["instrument"], usable["rest"]), problems


def _separate(song: Pair, jobs: Sequence[TrackJob]) -> dict[str, Any]:
    """Separate the mixture of one track at its own rate into a float file for each stem; return how long it took.

    What lies in files already is only looked at.

    Parameters
    ----------
    song
        The pair that is summed, whichever stems are left to do: the order of a sum decides its rounding.
    """
    info, *_ = [check_pair(pair) for pair in (song, *(job.pair for job in jobs))]
    if info.n_samples == 0:
        raise AudioFileError(f"{song.instrument} holds no samples: make the pair again.")
    wanted = jobs[0].estimates
    if isinstance(wanted, FileEstimates):
        return {}
    model = _model(wanted.model, wanted.options.engine, wanted.options.threads)
    separator = Separator.by_network(model, wanted.options)
    paths = {job.estimates.stem: _estimate_path(job) for job in jobs if isinstance(job.estimates, ModelEstimates)}
    started, cpu_started = time.perf_counter(), time.process_time()
    _write_instruments(song, info, separator, paths)
    elapsed = time.perf_counter() - started
    return {
        "separation_s": round(elapsed, 3),
        "separation_cpu_s": round(time.process_time() - cpu_started, 3),
        "times_real_time": round(info.duration_s / max(elapsed, 1e-9), 2),
        "engine": model.engine.name,
    }


def _write_instruments(pair: Pair, info: audio.AudioInfo, separator: Separator, paths: Mapping[str, Path]) -> None:
    """Separate a pair's mixture and write the instruments that have a path."""
    shape = (info.sample_rate_hz, info.n_channels, "FLOAT", info.n_samples)
    mixture = (block.sum(axis=0) for block in pair_blocks(pair))
    with contextlib.ExitStack() as stack:
        writers = {stem: stack.enter_context(audio.AudioWriter(path, *shape)) for stem, path in paths.items()}

        def write(block: Native, instruments: Sequence[Float]) -> list[Native]:
            for stem, instrument in zip(separator.instruments, instruments, strict=True):
                if stem in writers:
                    writers[stem].write(instrument)
            return [*instruments, block - sum(instruments)]

        separator.run(SongStream(mixture, info.n_channels, info.sample_rate_hz, info.n_samples), write)


@lru_cache(maxsize=2)
def _model(model: str, engine: str | None, threads: int | None) -> LoadedModel:
    """One model per worker process, opened once."""
    return load_model(model, engine, threads)


def _estimate_path(job: TrackJob) -> Path:
    return job.folder / "estimates" / safe_path(job.pair.name) / "instrument.wav"


def _drop_temporary(job: TrackJob) -> None:
    if isinstance(job.estimates, FileEstimates) or job.keep_estimates:
        return
    path = _estimate_path(job)
    path.unlink(missing_ok=True)
    for folder in path.relative_to(job.folder).parents[:-1]:
        if (job.folder / folder).is_dir() and not any((job.folder / folder).iterdir()):
            (job.folder / folder).rmdir()


def peak_memory_mb() -> float | None:
    """Largest resident memory of this process so far; None where the system does not tell."""
    try:
        # not ru_maxrss: on Linux a child starts with its parent's
        status = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return float(status.split("VmHWM:")[1].split()[0]) / 1024
    except (OSError, IndexError, ValueError):
        return None


def _plain(data: Any) -> Any:
    """Plain data with rounded numbers, so that a record reads back equal."""
    if isinstance(data, dict):
        return {key: _plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_plain(value) for value in data]
    if isinstance(data, float):
        return round(float(data), 6) if math.isfinite(data) else float(data)
    return data
