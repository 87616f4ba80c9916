"""Data of a report: evaluations with the runs they belong to, and the thesis's numbers where there are any."""

from __future__ import annotations

import csv
import itertools
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from splitstrument.errors import DatasetError, SettingsError
from splitstrument.evaluation.metrics.registry import SOURCES
from splitstrument.evaluation.record import EVALUATION_FILE, read_evaluation, values_of
from splitstrument.evaluation.schema import ESTIMATE, Comparison, Record, TrackRecord, statistic
from splitstrument.evaluation.selection import LAST_SUFFIX
from splitstrument.evaluation.statistics import compare, holm, seed_spread
from splitstrument.settings import read_yaml

SETTINGS_FILE, HISTORY_FILE = "settings.yaml", "history.csv"
HISTOGRAM_BUCKETS = 10


@dataclass(frozen=True)
class Evaluation:
    """One evaluation, with what lies around it.

    Attributes
    ----------
    settings
        The run's resolved settings, empty where the model has none (a shipped model, another tool).
    history
        Rows of the run's history.csv.
    """

    file: Path
    record: Record
    settings: dict[str, Any]
    history: list[dict[str, float]]

    @property
    def folder(self) -> Path:
        """Folder of the evaluation, which its excerpts are relative to."""
        return self.file.parent

    @property
    def name(self) -> str:
        """Name of the model or of the estimates."""
        return str(self.record["name"])

    @property
    def data(self) -> str:
        """Name of the data it was measured on, and of the stem where they lie in stems."""
        name, stem = self.record.get("measured_on", {}).get("name", "unnamed data"), self.record.get("stem")
        return f"{name} ({stem})" if stem else str(name)

    @property
    def instrument(self) -> str:
        """Name of what is taken out, as far as the record knows it."""
        return str(self.record.get("stem") or self.record.get("target") or "instrument")

    @property
    def published(self) -> dict[str, Any] | None:
        """The thesis's numbers for this training."""
        return self.settings.get("published")

    def values(self, measure: str, source: str = "instrument", system: str = ESTIMATE) -> list[float | None]:
        """One measure over the tracks."""
        return values_of(self.record["tracks"], system, source, measure)


def load_evaluations(paths: list[Path]) -> list[Evaluation]:
    """Read evaluations given as files, their folders, or run folders that hold some.

    Raises
    ------
    DatasetError
        If a path holds no evaluation.
    """
    files: dict[Path, None] = {}
    for path in map(Path, paths):
        found = evaluation_files(path)
        if not found:
            raise DatasetError(
                f"{path} holds no evaluation: run `splitstrument evaluate {path} --tracks DIR` or "
                "`splitstrument score` first."
            )
        files |= dict.fromkeys(found)
    return [_load(file) for file in files]


def silence_histogram(evaluation: Evaluation, source: str = "instrument") -> list[int]:
    """Tracks whose silent share falls in (< 10 %, < 20 %, ... >= 90 %), as in Appendix A of the thesis."""
    counts = [0] * HISTOGRAM_BUCKETS
    for track in evaluation.record["tracks"]:
        shares = [score[source].get("silent_share") for score in track["scores"].values()]
        if shares and shares[0] is not None:
            counts[min(HISTOGRAM_BUCKETS - 1, int(HISTOGRAM_BUCKETS * shares[0]))] += 1
    return counts


def comparisons(evaluations: list[Evaluation], measure: str = "si_sdr") -> list[dict[str, Any]]:
    """Paired tests between all evaluations that were measured on the same tracks, corrected for their number."""
    tests: list[dict[str, Any]] = [
        {"a": a.name, "b": b.name, "data": a.data, "source": source, **paired(a, b, measure, source)}
        for a, b in itertools.combinations(evaluations, 2)
        if a.data == b.data and _shared_tracks(a, b)
        for source in SOURCES
    ]
    for test, p in zip(tests, holm([test["p"] for test in tests]), strict=True):
        test["p_corrected"] = p
    return tests


def seed_groups(evaluations: list[Evaluation], measure: str = "si_sdr") -> list[dict[str, Any]]:
    """Spread of the median over runs that differ in nothing but their seed."""
    groups: dict[str, list[Evaluation]] = {}
    for evaluation in evaluations:
        if evaluation.settings:
            without = {k: v for k, v in evaluation.settings.items() if k not in ("seed", "name", "summary", "records")}
            last = evaluation.name.endswith(LAST_SUFFIX)  # of the same run as its best weights, but no other seed
            key = json.dumps([evaluation.data, last, without], sort_keys=True, default=str)
            groups.setdefault(key, []).append(evaluation)
    return [
        {
            "names": [member.name for member in members],
            "seeds": [member.settings.get("seed", 0) for member in members],
            "data": members[0].data,
            "measure": measure,
            **seed_spread([_median_of(member, measure) for member in members]),
        }
        for members in groups.values()
        if len(members) > 1
    ]


def worst_tracks(evaluation: Evaluation, count: int) -> list[TrackRecord]:
    """Tracks with the lowest SI-SDR of the instrument, the worst first."""
    scored = [track for track in evaluation.record["tracks"] if "excerpt" in track]

    def score(track: TrackRecord) -> float:
        value = values_of([track], ESTIMATE, "instrument", "si_sdr")[0]
        return -math.inf if value is None else value

    return sorted(scored, key=score)[:count]


def evaluation_files(path: Path) -> list[Path]:
    """Find the evaluations of a run, in a folder or at a path itself; empty where there are none."""
    if path.is_file() or (path / EVALUATION_FILE).is_file():
        return [path if path.is_file() else path / EVALUATION_FILE]
    places = ("evaluation/*", "evaluation/*/*", "*")  # the second of a run on tracks in stems, the third of such tracks
    return [file for place in places for file in sorted(path.glob(f"{place}/{EVALUATION_FILE}"))]


def _load(file: Path) -> Evaluation:
    record = read_evaluation(file)
    run = next((parent for parent in file.parents if (parent / SETTINGS_FILE).is_file()), None)
    settings: Any = {}
    if run:
        try:
            settings = read_yaml(run / SETTINGS_FILE)
        except SettingsError as error:
            raise DatasetError(str(error)) from None
    return Evaluation(file, record, settings if isinstance(settings, dict) else {}, read_history(run))


def read_history(run: Path | None) -> list[dict[str, float]]:
    """Rows of a run's history; empty where there are none."""
    if run is None or not (run / HISTORY_FILE).is_file():
        return []
    with (run / HISTORY_FILE).open(encoding="utf-8", newline="") as file:
        return [{key: _float(value) for key, value in row.items() if key} for row in csv.DictReader(file)]


def _float(text: str | None) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return math.nan


def _by_track(evaluation: Evaluation, measure: str, source: str = "instrument") -> dict[str, float | None]:
    names = [track["track"] for track in evaluation.record["tracks"]]
    return dict(zip(names, evaluation.values(measure, source), strict=True))


def _shared_tracks(ours: Evaluation, theirs: Evaluation) -> list[str]:
    return sorted(set(_by_track(ours, "si_sdr")) & set(_by_track(theirs, "si_sdr")))


def paired(ours: Evaluation, theirs: Evaluation, measure: str, source: str) -> Comparison:
    """Compare two evaluations on the tracks that both have."""
    a, b = _by_track(ours, measure, source), _by_track(theirs, measure, source)
    shared = _shared_tracks(ours, theirs)
    return compare([a[name] for name in shared], [b[name] for name in shared])


def _median_of(evaluation: Evaluation, measure: str) -> float | None:
    return statistic(evaluation.record, ESTIMATE, "instrument", measure)
