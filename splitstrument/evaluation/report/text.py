"""Tables of scores as text: Markdown that also reads well in a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from splitstrument.evaluation.metrics.registry import SOURCES, legend, metrics, shown, units
from splitstrument.evaluation.record import values_of
from splitstrument.evaluation.schema import ESTIMATE, Comparison, Record, TrackRecord, statistic
from splitstrument.tables import markdown, number, percent

BASE_NAMES = {"mixture": "mixture", "eq": "best fixed EQ", "eq_ms": "best fixed EQ of mid and side"}
TRACK_METRICS = ("sdr", "sir", "sar", "si_sdr")


def summary_rows(record: Record, source: str, keys: Sequence[str] = ()) -> list[list[str]]:
    """A row of medians per system, of the metrics of the main tables unless told."""
    return [
        [name, *(number(statistic(record, system, source, key)) for key in keys or shown())]
        for system, name in record["systems"].items()
    ]


def undefined_counts(record: Record) -> list[str]:
    """Sentences on values that are undefined for some tracks."""
    sentences = []
    for source in SOURCES:
        for key in ("sdr", "si_sdr"):
            n, undefined = (statistic(record, ESTIMATE, source, key, name) for name in ("n", "undefined"))
            if n is not None and undefined:
                sentences.append(
                    f"{metrics()[key].label} of the {source} is defined for {n:.0f} of {n + undefined:.0f} tracks "
                    "(elsewhere the reference or the estimate is silent or missing); the median is over those."
                )
    return sentences


def track_heads() -> list[str]:
    """Heads of the columns of `track_rows`."""
    heads = [f"{metrics()[key].label} {source[:4]}." for source in SOURCES for key in TRACK_METRICS]
    return ["track", *heads, "over mixture", "rest over mixture", "problems"]


def track_rows(record: Record) -> list[list[str]]:
    """A row per track, the worst instrument SI-SDR first; tracks without a score come before all others."""
    rows = []
    for track in sorted(record["tracks"], key=_badness):
        kinds = ", ".join(dict.fromkeys(problem["kind"] for problem in track["problems"]))
        cells = [number(values_of([track], ESTIMATE, source, m)[0]) for source in SOURCES for m in TRACK_METRICS]
        gains = [number(_difference(track, "mixture", source), signed=True) for source in SOURCES]
        rows.append([track["track"], *cells, *gains, kinds or "–"])
    return rows


def comparison_lines(record: Record) -> list[str]:
    """Return the gains over the trivial baselines in sentences, for instrument and rest."""
    lines = []
    for source in SOURCES:
        for base, by_source in record["improvement"].items():
            if by_source[source]["si_sdr"]["n"]:
                lines.append(_gain_sentence(source, base, by_source[source]["si_sdr"]))
    for base, by_ceiling in record["share_of_distance"].items():
        share = by_ceiling.get("irm", {}).get("instrument", {}).get("si_sdr")
        if share is not None:
            name = BASE_NAMES.get(base, base)
            lines.append(f"Share of the distance from the {name} to the ideal ratio mask: {percent(share)}.")
    return lines


def worse(comparison: Comparison | None) -> str:
    """Share of tracks that are worse than the base, such as ``1 of 4``."""
    if not comparison or not comparison["n"]:
        return "–"
    return f"{comparison.get('worse', comparison['n'] - comparison['wins'])} of {comparison['n']}"


def _gain_sentence(source: str, base: str, gain: Comparison) -> str:
    low, high = gain["low"], gain["high"]
    interval = f" (95 % interval {number(low)} to {number(high)})" if low is not None else ""
    corrected = gain.get("p_corrected")
    p = "" if gain["p"] is None else f", p = {gain['p']:.3g}"
    p += "" if corrected is None else f" ({corrected:.3g} corrected for several tests)"
    return (
        f"{source.capitalize()}, SI-SDR over the {BASE_NAMES.get(base, base)}: "
        f"{number(gain['median_difference'], signed=True)} dB at the median of {gain['n']} tracks{interval}, "
        f"better on {gain['wins']}, worse on {worse(gain)}{p}."
    )


def text_report(record: Record) -> str:
    """The readable table of ``evaluation.txt``."""
    parts = [f"# {record['name']}\n", _measured_on(record)]
    for source in SOURCES:
        parts.append(f"\n{source.capitalize()}, medians {units()}\n")
        parts.append(markdown(["", *(metrics()[key].label for key in shown())], summary_rows(record, source)))
    parts.append("\n" + "\n".join(["", *comparison_lines(record), *undefined_counts(record), legend()]) + "\n")
    parts.append("\nTracks, worst first (dB)\n")
    parts.append(markdown(track_heads(), track_rows(record)))
    if record["problems"]:
        parts.append("\nProblems\n" + "".join(f"- {sentence}\n" for sentence in record["problems"]))
    return "\n".join(parts)


def _measured_on(record: Record) -> str:
    data: dict[str, Any] = record.get("measured_on", {})
    seconds = sum(track["seconds"] for track in record["tracks"])
    name, stem = data.get("name", "unnamed data"), record.get("stem")
    what = f"{name}, {stem} against all others" if stem else name
    return f"Measured on {what}: {len(record['tracks'])} tracks, {seconds / 60:.1f} minutes."


def _difference(track: TrackRecord, base: str, source: str) -> float | None:
    ours, theirs = (values_of([track], system, source, "si_sdr")[0] for system in (ESTIMATE, base))
    return None if ours is None or theirs is None or not math.isfinite(ours) else ours - theirs


def _badness(track: TrackRecord) -> float:
    value = values_of([track], ESTIMATE, "instrument", "si_sdr")[0]
    return -math.inf if value is None else value
