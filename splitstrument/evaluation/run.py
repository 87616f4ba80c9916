"""Evaluations of whole folders: of a model that separates now, or of estimates that lie in files.

Both end in a folder with ``evaluation.yaml``, ``evaluation.csv``, ``evaluation.txt``, a record per track (by which a
killed evaluation resumes) and excerpts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from splitstrument.audio import probe
from splitstrument.errors import DatasetError, SplitstrumentError
from splitstrument.evaluation.jobs import FileEstimates, ModelEstimates, TrackJob, evaluate_track
from splitstrument.evaluation.matching import OUR_NAMES, expected, find_references, find_stems, match
from splitstrument.evaluation.metrics.registry import SOURCES
from splitstrument.evaluation.record import EVALUATION_FILE, build_record, csv_text
from splitstrument.evaluation.report.text import text_report
from splitstrument.evaluation.schema import Record, TrackRecord
from splitstrument.evaluation.selection import choose_tracks, seen_in_training
from splitstrument.evaluation.systems import BASELINES, CEILINGS, EqFit
from splitstrument.evaluation.tracks import resampled_pair_blocks
from splitstrument.executor import available_cores, map_tracks, track_executor
from splitstrument.files import real_path, write_text, write_yaml
from splitstrument.model_folder import check_one_instrument, find_model
from splitstrument.pairs import Pair, find_pairs
from splitstrument.progress import progress
from splitstrument.provenance import provenance
from splitstrument.separation.options import SeparationOptions
from splitstrument.settings import Settings, read_yaml

DEFAULT_N_FFT = 2048
EQS = ("eq", "eq_ms")
PASSPORT = "passport.yaml"
PASSPORT_KEYS = ("name", "title", "target", "origin", "kind", "rendered", "licence", "licences", "summary")


class EvaluationSettings(Settings):
    """Settings of an evaluation.

    Attributes
    ----------
    baselines, ceilings
        Systems beside the estimates; the fixed EQ only counts where it can be fitted.
    n_fft
        STFT of the oracle masks and the EQ; None takes the model's, or 2048 where there is no model.
    framewise
        Also BSS Eval v4.
    keep_estimates
        Keep the model's estimates as float WAV files.
    excerpts
        Keep a few seconds of every track for the report and for listening.
    """

    baselines: tuple[str, ...] = BASELINES
    ceilings: tuple[str, ...] = CEILINGS
    n_fft: int | None = None
    framewise: bool = True
    keep_estimates: bool = False
    excerpts: bool = True


@dataclass(frozen=True)
class Workers:
    """Place of the work, and whether progress is shown."""

    jobs: int = 1
    scheduler: str | None = None
    quiet: bool = False

    @property
    def cores(self) -> int:
        """Cores of this machine that may be used; those of a cluster are its scheduler's matter."""
        return 1 if self.scheduler else self.jobs or available_cores()


def evaluate_model(
    model: str,
    tracks: Path,
    folder: Path,
    settings: EvaluationSettings | None = None,
    eq_from: Path | None = None,
    options: SeparationOptions | None = None,
    names: Sequence[str] = (),
    split: str | None = None,
    workers: Workers | None = None,
) -> Record:
    """Separate and score every pair below `tracks`.

    Parameters
    ----------
    model
        Name of a shipped model, or path of a model or run folder.
    folder
        Where the results go; an earlier evaluation there is continued.
    eq_from
        Pairs that the fixed EQ is fitted on; a song that is being evaluated is left out of its own EQ.
    names, split
        Which tracks (`choose_tracks`).

    Raises
    ------
    DatasetError, ModelError
        Before any work. A track that fails is named in the record, and the others go on.
    """
    settings, workers, found = settings or EvaluationSettings(), workers or Workers(), find_model(model)
    check_one_instrument(found, "the evaluation")
    options = (options or SeparationOptions()).resolved(found.settings)  # on record, and in the tracks' keys
    rate, n_fft = found.settings.spectrogram.sample_rate_hz, settings.n_fft or found.settings.spectrogram.n_fft
    pairs = choose_tracks(find_pairs(tracks, rate, halves=True), Path(tracks), split, names)
    fit = fit_eq(find_pairs(eq_from, rate), rate, n_fft, workers) if eq_from else None
    estimates = ModelEstimates(str(found.path), options)
    about = {
        "kind": "evaluate",
        "target": found.settings.target,
        "model": {
            "name": found.description.name,
            "summary": found.description.summary,
            "trained_on": found.description.trained_on,
            "files": found.description.files,
        },
        "split": split or "evaluation list, or all",
        "seen_in_training": seen_in_training(found.path, pairs),
    }
    plan = dict.fromkeys(pairs, estimates)
    task = _Task(found.description.name, plan, tracks, folder, settings, n_fft, fit, eq_from, options)
    return _run(task, about, workers)


def score_files(
    references: Path,
    estimates: Path,
    folder: Path,
    settings: EvaluationSettings | None = None,
    eq_from: Path | None = None,
    workers: Workers | None = None,
    name: str | None = None,
    names: Mapping[str, str] = OUR_NAMES,
) -> Record:
    """Score estimates that any tool has made, matched to the references by the paths of their folders (`match`).

    Parameters
    ----------
    names
        Source -> what the tool calls its files.
    """
    settings, workers = settings or EvaluationSettings(), workers or Workers()
    pairs = find_references(references)
    theirs = find_stems(estimates, names)
    if not theirs:
        raise DatasetError(f"{estimates} holds no estimates: {expected(names)}.")
    matched = match(pairs, references, theirs, estimates)
    if not matched:
        some = ", ".join(sorted(folder.name for folder in theirs)[:3])
        raise DatasetError(
            f"No track of {estimates} ({some}, ...) has the name of a reference in {references} "
            f"({', '.join(pair.name for pair in pairs[:3])}, ...): name the folders alike."
        )
    n_fft = settings.n_fft or DEFAULT_N_FFT
    fit = (
        fit_eq(find_references(eq_from), probe(pairs[0].instrument).sample_rate_hz, n_fft, workers) if eq_from else None
    )
    stems = {pair: theirs[folder] for pair, folder in matched.items()}
    plan = {pair: FileEstimates(*(stems.get(pair, {}).get(source) for source in SOURCES)) for pair in pairs}
    unmatched = sorted(str(folder.relative_to(estimates)) for folder in set(theirs) - set(matched.values()))
    about = {"kind": "score", "unmatched": unmatched}
    return _run(_Task(name or estimates.name, plan, references, folder, settings, n_fft, fit, eq_from), about, workers)


def fit_eq(pairs: list[Pair], sample_rate_hz: int, n_fft: int, workers: Workers | None = None) -> EqFit:
    """Fit the fixed EQ on all `pairs`, brought to one rate."""
    workers, fit = workers or Workers(), EqFit(sample_rate_hz, n_fft)
    work = partial(_eq_sums, sample_rate_hz=sample_rate_hz, n_fft=n_fft)
    with (
        track_executor(workers.jobs, workers.scheduler) as executor,
        progress("fitting the EQ", len(pairs), "tracks", workers.quiet) as advance,
    ):
        for outcome in map_tracks(work, pairs, executor):
            fit.sums.update(outcome.get().sums)
            advance(1, outcome.item.name)
    return fit


def _eq_sums(pair: Pair, sample_rate_hz: int, n_fft: int) -> EqFit:
    fit = EqFit(sample_rate_hz, n_fft)
    fit.add(pair.name, resampled_pair_blocks(pair, sample_rate_hz))
    return fit


@dataclass(frozen=True)
class _Task:
    """Estimates and references of an evaluation, where the results go, and what stands beside them."""

    name: str
    plan: Mapping[Pair, ModelEstimates | FileEstimates]
    data: Path
    folder: Path
    settings: EvaluationSettings
    n_fft: int
    fit: EqFit | None
    eq_from: Path | None
    options: SeparationOptions | None = None

    @property
    def chosen(self) -> dict[str, Any]:
        """Settings as the record keeps them."""
        chosen = {**self.settings.model_dump(mode="json"), "n_fft": self.n_fft}
        chosen |= {
            "eq_from": self.eq_from and Path(self.eq_from).name,
            "eq_tracks": sorted(self.fit.sums if self.fit else ()),
        }
        return chosen | ({"separation": self.options.model_dump(mode="json")} if self.options else {})

    def jobs(self, cores: int) -> list[TrackJob]:
        """One for every track; cores that are left over where there are few tracks work inside the tracks."""
        threads = max(1, cores // len(self.plan))
        return [self._job(pair, estimates, threads) for pair, estimates in self.plan.items()]

    def _job(self, pair: Pair, estimates: ModelEstimates | FileEstimates, threads: int) -> TrackJob:
        settings, with_eq = self.settings, self.fit is not None and set(self.fit.sums) - {pair.name}
        systems = tuple(name for name in (*settings.baselines, *settings.ceilings) if name not in EQS or with_eq)
        eq = self.fit.eq(without=pair.name) if self.fit and with_eq and set(EQS) & set(systems) else None
        if eq is None or eq.mid_side is None:  # songs without a side have one curve
            systems = tuple(name for name in systems if name != "eq_ms")
        keep = settings.framewise, settings.keep_estimates, settings.excerpts
        return TrackJob(pair, estimates, systems, self.n_fft, self.folder, eq, *keep, threads)


def _run(task: _Task, about: dict[str, Any], workers: Workers) -> Record:
    """Evaluate all tracks and write the results."""
    records, failed = _work(task.jobs(workers.cores), workers)
    if not records:
        raise DatasetError("No track could be evaluated: " + " ".join(failed.values()))
    record = build_record(
        task.name,
        records,
        failed,
        **about,
        measured_on=describe_data(task.data),
        settings=task.chosen,
        provenance=provenance(task.chosen),
    )
    write_evaluation(task.folder, record)
    return record


def write_evaluation(folder: Path, record: Record) -> None:
    """Write the record, the rows and the readable table."""
    write_yaml(folder / EVALUATION_FILE, record)
    write_text(folder / "evaluation.csv", csv_text(record))
    write_text(folder / "evaluation.txt", text_report(record))


def describe_data(folder: Path) -> dict[str, Any]:
    """Name of the data and what its passport says of it, so that every number says what it was measured on."""
    folder = real_path(folder)
    for place in (folder, folder.parent):
        if (place / PASSPORT).is_file():
            passport = read_yaml(place / PASSPORT)
            known = {key: passport[key] for key in PASSPORT_KEYS if isinstance(passport, dict) and key in passport}
            return {"name": place.name, "passport": known}
    name = folder.parent.name if folder.name.startswith("tracks_") else folder.name
    return {"name": name, "passport": None}


def _work(jobs: list[TrackJob], workers: Workers) -> tuple[list[TrackRecord], dict[str, str]]:
    records, failed = [], {}
    with (
        track_executor(workers.jobs, workers.scheduler) as executor,
        progress("evaluating", len(jobs), "tracks", workers.quiet) as advance,
    ):
        for outcome in map_tracks(evaluate_track, jobs, executor):
            if outcome.error is None:
                records.append(outcome.get())
            elif isinstance(outcome.error, SplitstrumentError):
                failed[outcome.item.pair.name] = str(outcome.error)
            else:
                raise outcome.error
            advance(1, outcome.item.pair.name)
    return records, failed
