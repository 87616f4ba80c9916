"""The record of an evaluation: per track and in summary, with what was measured, on what data, and what made it.

On disk it is ``evaluation.yaml``; ``evaluation.csv`` has a row per track, system and source.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from splitstrument.errors import DatasetError, SettingsError
from splitstrument.evaluation.metrics import registry
from splitstrument.evaluation.metrics.registry import SHARE_METRICS, SOURCES, metrics
from splitstrument.evaluation.schema import ESTIMATE, Comparison, Record, Summary, TrackRecord
from splitstrument.evaluation.statistics import compare, holm, share_of_distance, summarise
from splitstrument.evaluation.systems import BASES, CEILINGS, DESCRIPTIONS
from splitstrument.settings import read_yaml
from splitstrument.tables import csv_cell

EVALUATION_FORMAT = 1
EVALUATION_FILE = "evaluation.yaml"
MAX_BYTES = 200_000_000


def build_record(name: str, tracks: Iterable[TrackRecord], failed: dict[str, str], **about: Any) -> Record:
    """Put the records of all tracks together.

    Parameters
    ----------
    failed
        Track -> sentence, for tracks that could not be evaluated at all.
    about
        Further top-level keys: model, target, measured_on, settings, provenance.
    """
    tracks = sorted(tracks, key=lambda record: record["track"])
    seen = about.get("seen_in_training", [])
    systems = [system for system in (ESTIMATE, *DESCRIPTIONS) if any(system in track["scores"] for track in tracks)]
    record: dict[str, Any] = {
        "format": EVALUATION_FORMAT,
        "name": name,
        **about,
        "systems": {system: DESCRIPTIONS.get(system, "the estimates under test") for system in systems},
        "summary": {system: _summary(tracks, system) for system in systems},
        "improvement": _improvement(tracks),
        "share_of_distance": _shares(tracks),
        "problems": [
            *(f"{track} was a training track of this model: its score says nothing of other songs." for track in seen),
            *(problem["sentence"] for track in tracks for problem in track["problems"]),
            *failed.values(),
            *registry.problems(),
        ],
        "failed": failed,
        "tracks": [{key: value for key, value in track.items() if key not in ("format", "key")} for track in tracks],
    }
    return cast(Record, record)


def values_of(tracks: Iterable[TrackRecord], system: str, source: str, metric: str) -> list[float | None]:
    """One metric over tracks; None where the track lacks the system or the metric is undefined."""
    return [track["scores"].get(system, {}).get(source, {}).get(metric) for track in tracks]


def read_evaluation(path: str | Path) -> Record:
    """Read ``evaluation.yaml``, given as the file or its folder.

    Raises
    ------
    DatasetError
        If there is none or it is no evaluation of this format.
    """
    path = Path(path)
    path = path / EVALUATION_FILE if path.is_dir() else path
    if not path.is_file():
        raise DatasetError(f"There is no {path}: run `splitstrument evaluate` or `splitstrument score` first.")
    try:
        record = read_yaml(path, MAX_BYTES)
    except SettingsError as error:
        raise DatasetError(str(error)) from None
    if not isinstance(record, dict) or record.get("format") != EVALUATION_FORMAT or "tracks" not in record:
        raise DatasetError(f"{path} is no evaluation of format {EVALUATION_FORMAT}: make it again.")
    return cast(Record, record)


def csv_text(record: Record) -> str:
    """A row per track, system and source."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["evaluation", "track", "system", "source", *metrics(), "problems"])
    for track in record["tracks"]:
        kinds = " ".join(sorted({problem["kind"].replace(" ", "_") for problem in track["problems"]}))
        for system in (name for name in record["systems"] if name in track["scores"]):
            for source in SOURCES:
                values = track["scores"][system][source]
                cells = ["" if values.get(key) is None else values[key] for key in metrics()]
                mine = kinds if system == ESTIMATE else ""
                names = map(csv_cell, (record["name"], track["track"], system))
                writer.writerow([*names, source, *cells, mine])
    return stream.getvalue()


def _summary(tracks: list[TrackRecord], system: str) -> dict[str, dict[str, Summary]]:
    return {
        source: {
            key: summarise(values_of(tracks, system, source, key), metric.better) for key, metric in metrics().items()
        }
        for source in SOURCES
    }


def _improvement(tracks: list[TrackRecord]) -> dict[str, dict[str, dict[str, Comparison]]]:
    """Estimates against the mixture and the fixed EQs, track by track; p corrected over bases and sources."""
    measured = [track for track in tracks if ESTIMATE in track["scores"]]
    found = {base: {source: _comparisons(measured, base, source) for source in SOURCES} for base in _bases(measured)}
    for metric in SHARE_METRICS:
        tests = [by_source[source][metric] for by_source in found.values() for source in SOURCES]
        for test, p in zip(tests, holm([test["p"] for test in tests]), strict=True):
            test["p_corrected"] = p
    return found


def _comparisons(tracks: list[TrackRecord], base: str, source: str) -> dict[str, Comparison]:
    return {
        metric: compare(values_of(tracks, ESTIMATE, source, metric), values_of(tracks, base, source, metric))
        for metric in SHARE_METRICS
    }


def _bases(tracks: list[TrackRecord]) -> list[str]:
    return [base for base in BASES if any(base in track["scores"] for track in tracks)]


def _shares(tracks: list[TrackRecord]) -> dict[str, dict[str, dict[str, dict[str, float | None]]]]:
    """Share of the distance from base to each ceiling that the medians close, over the same tracks."""
    measured = [track for track in tracks if ESTIMATE in track["scores"]]
    ceilings = [ceiling for ceiling in CEILINGS if any(ceiling in track["scores"] for track in measured)]
    return {
        base: {
            ceiling: {
                source: {m: _share_of_medians(measured, base, ceiling, source, m) for m in SHARE_METRICS}
                for source in SOURCES
            }
            for ceiling in ceilings
        }
        for base in _bases(measured)
    }


def _share_of_medians(tracks: list[TrackRecord], base: str, ceiling: str, source: str, metric: str) -> float | None:
    """Medians over the tracks where all three are defined."""
    columns = zip(*(values_of(tracks, system, source, metric) for system in (ESTIMATE, base, ceiling)), strict=True)
    complete = [row for row in columns if None not in row]
    if not complete:
        return None
    score, low, high = (summarise(column)["median"] for column in zip(*complete, strict=True))
    share = share_of_distance(score, low, high)
    return None if share is None else round(share, 4)
