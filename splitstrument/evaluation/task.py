"""What an evaluation is to do, and doing it: tracks side by side, records put together, results written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from splitstrument.errors import DatasetError, SplitstrumentError
from splitstrument.evaluation.jobs import FileEstimates, ModelEstimates, TrackJob, evaluate_stems
from splitstrument.evaluation.record import EVALUATION_FILE, build_record, csv_text
from splitstrument.evaluation.report.text import text_report
from splitstrument.evaluation.schema import Record, TrackRecord
from splitstrument.evaluation.systems import BASELINES, CEILINGS, EqFit
from splitstrument.executor import available_cores, map_tracks, track_executor
from splitstrument.files import real_path, write_text, write_yaml
from splitstrument.pairs import Pair
from splitstrument.progress import progress
from splitstrument.provenance import provenance
from splitstrument.separation.options import SeparationOptions
from splitstrument.settings import Settings, read_yaml

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


@dataclass(frozen=True)
class Task:
    """Estimates and references of an evaluation, where the results go, and what stands beside them.

    Attributes
    ----------
    about
        Further entries of the record.
    """

    name: str
    plan: Mapping[Pair, ModelEstimates | FileEstimates]
    data: Path
    folder: Path
    settings: EvaluationSettings
    n_fft: int
    fit: EqFit | None
    eq_from: Path | None
    options: SeparationOptions | None = None
    about: Mapping[str, Any] = field(default_factory=dict)

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
        settings, with_eq = self.settings, self.fit is not None and self.fit.others(pair.name)
        systems = tuple(name for name in (*settings.baselines, *settings.ceilings) if name not in EQS or with_eq)
        eq = self.fit.eq(without=pair.name) if self.fit and with_eq and set(EQS) & set(systems) else None
        if eq is None or eq.mid_side is None:  # songs without a side have one curve
            systems = tuple(name for name in systems if name != "eq_ms")
        keep = settings.framewise, settings.keep_estimates, settings.excerpts
        return TrackJob(pair, estimates, systems, self.n_fft, self.folder, eq, *keep, threads)


def run_tasks(tasks: Mapping[str, Task], workers: Workers) -> dict[str, Record]:
    """Evaluate and write the results of several tasks that share their tracks: one for each stem.

    Parameters
    ----------
    tasks
        By any key, which the result has too.

    Raises
    ------
    DatasetError
        If a task has no track that could be evaluated; the results of the others are written before.
    """
    groups: dict[str, dict[str, TrackJob]] = defaultdict(dict)
    for key, task in tasks.items():
        for job in task.jobs(workers.cores):
            groups[job.pair.name][key] = job
    made, failed = _work(groups, workers)
    finished = {key: _finished(task, made[key], failed) for key, task in tasks.items() if made[key]}
    if empty := [key for key in tasks if key not in finished]:
        of_stems = f" for {', '.join(empty)}" if any(empty) else ""
        reasons = dict.fromkeys(reason for key in empty for reason in _failed_of(tasks[key], failed).values())
        raise DatasetError(f"No track could be evaluated{of_stems}: {' '.join(reasons)}")
    return finished


def _failed_of(task: Task, failed: Mapping[str, str]) -> dict[str, str]:
    """Track -> sentence, of the task's own tracks."""
    return {pair.name: failed[pair.name] for pair in task.plan if pair.name in failed}


def _finished(task: Task, records: list[TrackRecord], failed: Mapping[str, str]) -> Record:
    record = build_record(
        task.name,
        records,
        _failed_of(task, failed),
        **task.about,
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


def _work(
    groups: Mapping[str, dict[str, TrackJob]], workers: Workers
) -> tuple[dict[str, list[TrackRecord]], dict[str, str]]:
    """Records by task, and sentences by track."""
    records: dict[str, list[TrackRecord]] = defaultdict(list)
    failed = {}
    with (
        track_executor(workers.jobs, workers.scheduler) as executor,
        progress("evaluating", len(groups), "tracks", workers.quiet) as advance,
    ):
        for outcome in map_tracks(_evaluate, list(groups.values()), executor):
            track = next(iter(outcome.item.values())).pair.name
            if isinstance(outcome.error, SplitstrumentError):
                failed[track] = str(outcome.error)
            else:
                for key, record in outcome.get().items():
                    records[key].append(record)
            advance(1, track)
    return records, failed


def _evaluate(jobs: dict[str, TrackJob]) -> dict[str, TrackRecord]:
    return dict(zip(jobs, evaluate_stems(list(jobs.values())), strict=True))
