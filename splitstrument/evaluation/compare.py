"""What differs between runs: settings, code and packages, data, course of training, and scores on the same data."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

from splitstrument.errors import DatasetError, SettingsError
from splitstrument.evaluation.metrics.registry import SOURCES, metrics, shown
from splitstrument.evaluation.report.data import (
    SETTINGS_FILE,
    Evaluation,
    evaluation_files,
    load_evaluations,
    paired,
    read_history,
)
from splitstrument.evaluation.schema import ESTIMATE, statistic
from splitstrument.evaluation.statistics import holm
from splitstrument.settings import read_yaml
from splitstrument.tables import number
from splitstrument.trackers import flat

PROVENANCE_FILE, RESULT_FILE = "provenance.json", "result.json"
# what a run is called, and what does not change its weights
NO_SETTINGS = ("name", "summary", "published", "records", "doctor")
MISSING = "–"
MANY_TRACKS = 6


@dataclass(frozen=True)
class Run:
    """A run, as far as its folder tells; an evaluation's folder has evaluations alone.

    Attributes
    ----------
    label
        Short name that no other run of the comparison has.
    """

    label: str
    settings: Mapping[str, Any]
    provenance: Mapping[str, Any]
    history: list[dict[str, float]]
    result: Mapping[str, Any]
    evaluations: list[Evaluation]


@dataclass(frozen=True)
class Difference:
    """One thing in which runs differ: a value for each run; None where it has none."""

    name: str
    values: tuple[Any, ...]


@dataclass(frozen=True)
class Comparison:
    """All of them, by part; of training and scores also what is the same.

    Attributes
    ----------
    pairs
        Later runs against the first on the same tracks (`statistics.compare`).
    have_settings
        Whether every run has settings.
    """

    runs: tuple[str, ...]
    parts: dict[str, list[Difference]]
    pairs: list[dict[str, Any]]
    have_settings: bool


def compare_runs(paths: Sequence[Path]) -> Comparison:
    """Compare run folders, or folders of evaluations.

    Raises
    ------
    DatasetError
        If there are fewer than two, or one is neither.
    """
    if len(paths) < 2:
        raise DatasetError(f"A comparison needs at least two runs, but {len(paths)} was given: name another one.")
    runs = [_read(path, label) for path, label in zip(paths, _labels(paths), strict=True)]
    parts = {
        "settings": _differences([_settings(run.settings) for run in runs]),
        "made with": _differences([_made_with(run.provenance) for run in runs]),
        "data": _differences([_data(run.provenance) for run in runs]) + _tracks_of_some(runs),
        "training": _differences([_training(run) for run in runs], all_of_them=True),
        "scores": _differences([_scores(run.evaluations) for run in runs], all_of_them=True),
    }
    differing = {name: rows for name, rows in parts.items() if rows}
    return Comparison(tuple(run.label for run in runs), differing, _pairs(runs), all(run.settings for run in runs))


def _read(path: Path, label: str) -> Run:
    files = evaluation_files(path) if path.exists() else []
    if not files and not (path / SETTINGS_FILE).is_file():
        raise DatasetError(f"{path} is neither a run (it has no {SETTINGS_FILE}) nor a folder of evaluations.")
    try:
        settings = read_yaml(path / SETTINGS_FILE) if (path / SETTINGS_FILE).is_file() else {}
    except SettingsError as error:
        raise DatasetError(str(error)) from None
    provenance, result = _json(path / PROVENANCE_FILE), _json(path / RESULT_FILE)
    evaluations = load_evaluations(files)
    return Run(label, settings, provenance, read_history(path), result, evaluations)


def _json(path: Path) -> dict[str, Any]:
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _labels(paths: Sequence[Path]) -> list[str]:
    """The folders' names, or as many folders above as it takes to tell them apart."""
    parts = [path.absolute().parts[1:] for path in paths]
    for count in range(1, max(map(len, parts)) + 1):
        labels = ["/".join(part[-count:]) for part in parts]
        if len(set(labels)) == len(labels):
            return labels
    raise DatasetError(f"{paths[0]} is compared with itself: name another run.")


def _differences(columns: Sequence[Mapping[str, Any]], all_of_them: bool = False) -> list[Difference]:
    """What is not the same in all columns, in the order in which it first appears."""
    names = list(dict.fromkeys(name for column in columns for name in column))
    rows = [Difference(name, tuple(column.get(name) for column in columns)) for name in names]
    return [row for row in rows if all_of_them or any(value != row.values[0] for value in row.values)]


def _settings(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by dotted keys; datasets by their names."""
    plain = {key: _by_name(value) for key, value in settings.items() if key not in NO_SETTINGS}
    return flat(plain)


def _by_name(value: Any) -> Any:
    if isinstance(value, list) and value and all(isinstance(each, Mapping) for each in value):
        return {str(each.get("name") or each.get("path") or index): each for index, each in enumerate(value)}
    return value


def _made_with(provenance: Mapping[str, Any]) -> dict[str, Any]:
    known = {key: provenance[key] for key in ("splitstrument", "commit", "python", "machine") if key in provenance}
    return known | flat({"packages": provenance.get("packages", {}), "code": provenance.get("code", {})})


def _data(provenance: Mapping[str, Any]) -> dict[str, Any]:
    tracks = {f"{side} tracks": len(names) for side, names in provenance.get("tracks", {}).items()}
    return tracks | flat({"passport": provenance.get("passports", {})})


def _tracks_of_some(runs: Sequence[Run]) -> list[Difference]:
    """Tracks of each side that not all runs had."""
    rows = []
    for side in ("training", "validation"):
        sets = [set(run.provenance.get("tracks", {}).get(side, ())) for run in runs]
        if all(sets) and (shared := set.intersection(*sets)) != set.union(*sets):
            own = tuple(_some(sorted(names - shared)) for names in sets)
            rows.append(Difference(f"{side} tracks that not all have", own))
    return rows


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - MANY_TRACKS} more" if len(names) > MANY_TRACKS else ""
    return ", ".join(names[:MANY_TRACKS]) + more


def _training(run: Run) -> dict[str, Any]:
    if not run.history:
        return {}
    losses = [loss for row in run.history if math.isfinite(loss := row.get("val_loss", math.nan))]
    return {
        "epochs": len(run.history),
        "steps": int(sum(row.get("steps", 0) for row in run.history)),
        "last loss": run.history[-1].get("loss"),
        "best validation loss": min(losses, default=None),
        "hours": sum(row.get("seconds", 0) for row in run.history) / 3600,
        "ended by": run.result.get("reason", "stopped, or not done"),
    }


def _scores(evaluations: Iterable[Evaluation]) -> dict[str, Any]:
    """Medians of the main tables' metrics by data, source and metric."""
    return {
        f"{evaluation.data}: {source} {metrics()[key].label}": statistic(evaluation.record, ESTIMATE, source, key)
        for evaluation in _best(evaluations)
        for source in SOURCES
        for key in shown()
    }


def _best(evaluations: Iterable[Evaluation]) -> list[Evaluation]:
    """One evaluation for each data set: that of the best weights stands before that of the last."""
    ordered = sorted(evaluations, key=lambda evaluation: evaluation.data)
    return [next(group) for _, group in groupby(ordered, key=lambda evaluation: evaluation.data)]


def _pairs(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Each later run against the first, track by track on the same data; p corrected for their number (Holm)."""
    first = {evaluation.data: evaluation for evaluation in _best(runs[0].evaluations)}
    tests: list[dict[str, Any]] = [
        {
            "run": run.label,
            "data": theirs.data,
            "source": source,
            **paired(theirs, first[theirs.data], "si_sdr", source),
        }
        for run in runs[1:]
        for theirs in _best(run.evaluations)
        if theirs.data in first
        for source in SOURCES
    ]
    tests = [test for test in tests if test["n"]]
    for test, p in zip(tests, holm([test["p"] for test in tests]), strict=True):
        test["p_corrected"] = p
    return tests


def shown_value(value: Any) -> str:
    """A value for a table."""
    if value is None:
        return MISSING
    if isinstance(value, float):
        return f"{value:.4g}".replace("-", "−") if abs(value) < 1e-2 and value else number(value)
    return str(value)
