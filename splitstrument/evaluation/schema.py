"""Records of an evaluation as plain data with named, typed fields, as they lie in YAML and JSON."""

from __future__ import annotations

from typing import Any, NotRequired, TypedDict

from splitstrument.evaluation.metrics.metric import Values

# the system under test, beside baselines and oracles
ESTIMATE = "estimate"

Score = dict[str, Values]  # by source


class ProblemRecord(TypedDict):
    """One thing that is wrong with a track."""

    kind: str
    sentence: str


class ExcerptRecord(TypedDict):
    """Seconds that are kept for listening; files relative to the evaluation's folder."""

    start_s: float
    duration_s: float
    gain_db: float
    files: dict[str, str]


class TrackRecord(TypedDict):
    """One track. `format` and `key` are in the stored file only; times only where a model separated."""

    format: NotRequired[int]
    key: NotRequired[str]
    track: str
    seconds: float
    sample_rate_hz: int
    n_channels: int
    problems: list[ProblemRecord]
    scores: dict[str, Score]
    excerpt: NotRequired[ExcerptRecord]
    separation_s: NotRequired[float]
    separation_cpu_s: NotRequired[float]
    times_real_time: NotRequired[float]
    engine: NotRequired[str]
    elapsed_s: NotRequired[float]
    peak_memory_mb: NotRequired[float | None]


class Summary(TypedDict):
    """One metric over tracks; `low` and `high` bound the median (`statistics.summarise`)."""

    median: float | None
    mean: float | None
    q1: float | None
    q3: float | None
    worst_tenth: NotRequired[float | None]
    low: float | None
    high: float | None
    coverage: NotRequired[float | None]
    n: int
    undefined: int


class Comparison(TypedDict):
    """Two systems on the same tracks (`statistics.compare`)."""

    n: int
    wins: int
    worse: NotRequired[int]
    median_difference: float | None
    worst_difference: NotRequired[float | None]
    low: float | None
    high: float | None
    effect: NotRequired[float | None]
    p: float | None
    p_corrected: NotRequired[float | None]


class Record(TypedDict):
    """A whole evaluation, as ``evaluation.yaml`` holds it."""

    format: int
    name: str
    kind: NotRequired[str]
    target: NotRequired[str]
    stem: NotRequired[str]  # of tracks in stems: which one is the instrument here
    model: NotRequired[dict[str, Any]]
    split: NotRequired[str]
    seen_in_training: NotRequired[list[str]]
    unmatched: NotRequired[list[str]]
    measured_on: NotRequired[dict[str, Any]]
    settings: NotRequired[dict[str, Any]]
    provenance: NotRequired[dict[str, Any]]
    systems: dict[str, str]
    summary: dict[str, dict[str, dict[str, Summary]]]
    improvement: dict[str, dict[str, dict[str, Comparison]]]
    share_of_distance: dict[str, dict[str, dict[str, dict[str, float | None]]]]
    problems: list[str]
    failed: dict[str, str]
    tracks: list[TrackRecord]


def statistic(record: Record, system: str, source: str, metric: str, name: str = "median") -> float | None:
    """One number of the summary; None where the record, which may be of an earlier version, has none."""
    summary: Any = record["summary"].get(system, {}).get(source, {}).get(metric, {})
    value = summary.get(name)
    return None if value is None else float(value)
