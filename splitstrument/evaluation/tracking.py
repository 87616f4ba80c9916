"""Numbers of an evaluation for trackers (`splitstrument.trackers`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from splitstrument.evaluation.metrics.registry import SHARE_METRICS, SOURCES, shown
from splitstrument.evaluation.schema import ESTIMATE, Record, statistic
from splitstrument.files import safe_name
from splitstrument.trackers import TrackedRun, tracking


def track_evaluation(record: Record, folder: Path, names: Sequence[str], on_failure: Callable[[str], None]) -> None:
    """Tell trackers the medians of an evaluation and its gains.

    Parameters
    ----------
    names
        Trackers, as `splitstrument.trackers` names them.
    on_failure
        Called with a sentence where one of them fails.
    """
    data = record.get("measured_on", {}).get("name", "unnamed data")
    of_stem = f" ({record['stem']})" if record.get("stem") else ""
    name = f"{record['name']} on {data}{of_stem}"
    settings = {key: record.get(key) for key in ("kind", "model", "settings", "measured_on") if record.get(key)}
    with tracking(names, TrackedRun(name, folder, settings, safe_name(name)), on_failure) as trackers:
        trackers.log(scalars(record))


def scalars(record: Record) -> dict[str, float | None]:
    """Numbers by names such as ``instrument/si_sdr`` (medians) and ``rest/si_sdr_over_mixture``."""
    values: dict[str, float | None] = {"tracks": float(len(record["tracks"]))}
    for source in SOURCES:
        values |= {f"{source}/{key}": statistic(record, ESTIMATE, source, key) for key in shown()}
        for base, by_source in record["improvement"].items():
            for key in SHARE_METRICS:
                if gain := by_source.get(source, {}).get(key):
                    values[f"{source}/{key}_over_{base}"] = gain["median_difference"]
    return values
