"""The record of an evaluation: per track and in summary, with what was measured, on what data, and what made it.

On disk it is ``evaluation.yaml``; ``evaluation.csv`` has a row per track, system and source.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from splitstrument.errors import DatasetError, SettingsError
from splitstrument.evaluation.jobs import ESTIMATE
from splitstrument.evaluation.metrics.registry import MEASURES, SHARE_MEASURES, SOURCES
from splitstrument.evaluation.statistics import compare, share_of_distance, summarise
from splitstrument.evaluation.systems import CEILINGS, DESCRIPTIONS
from splitstrument.settings import read_yaml

EVALUATION_FORMAT = 1
EVALUATION_FILE = "evaluation.yaml"
MAX_BYTES = 200_000_000

Record = dict[str, Any]


def build_record(name: str, tracks: Iterable[Record], failed: dict[str, str], **about: Any) -> Record:
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
    return {
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
        ],
        "failed": failed,
        "tracks": [{key: value for key, value in track.items() if key not in ("format", "key")} for track in tracks],
    }


def values_of(tracks: Iterable[Record], system: str, source: str, measure: str) -> list[float | None]:
    """One measure over tracks; None where the track lacks the system or the measure is undefined."""
    return [track["scores"].get(system, {}).get(source, {}).get(measure) for track in tracks]


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
    return record


def csv_text(record: Record) -> str:
    """A row per track, system and source."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(["evaluation", "track", "system", "source", *MEASURES, "problems"])
    for track in record["tracks"]:
        kinds = " ".join(sorted({problem["kind"].replace(" ", "_") for problem in track["problems"]}))
        for system in (name for name in record["systems"] if name in track["scores"]):
            for source in SOURCES:
                values = track["scores"][system][source]
                cells = ["" if values.get(key) is None else values[key] for key in MEASURES]
                mine = kinds if system == ESTIMATE else ""
                writer.writerow([_harmless(record["name"]), _harmless(track["track"]), system, source, *cells, mine])
    return stream.getvalue()


def _harmless(text: str) -> str:
    """Keep spreadsheets from taking a track's name for a formula."""
    return re.sub(r"^([=+\-@\t])", r"'\1", text)


def _summary(tracks: list[Record], system: str) -> dict[str, Any]:
    return {
        source: {measure: summarise(values_of(tracks, system, source, measure)) for measure in MEASURES}
        for source in SOURCES
    }


def _improvement(tracks: list[Record]) -> dict[str, Any]:
    """Estimates against the mixture and the fixed EQ, track by track."""
    measured = [track for track in tracks if ESTIMATE in track["scores"]]
    return {
        base: {
            source: {
                measure: compare(
                    values_of(measured, ESTIMATE, source, measure), values_of(measured, base, source, measure)
                )
                for measure in SHARE_MEASURES
            }
            for source in SOURCES
        }
        for base in ("mixture", "eq")
        if any(base in track["scores"] for track in measured)
    }


def _shares(tracks: list[Record]) -> dict[str, Any]:
    """Share of the distance from base to each ceiling that the medians close, over the same tracks."""
    measured = [track for track in tracks if ESTIMATE in track["scores"]]
    return {
        base: {
            ceiling: {
                source: {m: _share_of_medians(measured, base, ceiling, source, m) for m in SHARE_MEASURES}
                for source in SOURCES
            }
            for ceiling in CEILINGS
            if any(ceiling in track["scores"] for track in measured)
        }
        for base in ("mixture", "eq")
        if any(base in track["scores"] for track in measured)
    }


def _share_of_medians(tracks: list[Record], base: str, ceiling: str, source: str, measure: str) -> float | None:
    """Medians over the tracks where all three are defined."""
    columns = zip(*(values_of(tracks, system, source, measure) for system in (ESTIMATE, base, ceiling)), strict=True)
    complete = [row for row in columns if None not in row]
    if not complete:
        return None
    score, low, high = (summarise(column)["median"] for column in zip(*complete, strict=True))
    share = share_of_distance(score, low, high)
    return None if share is None else round(share, 4)
