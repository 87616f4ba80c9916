"""Tables of scores as text: Markdown that also reads well in a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from splitstrument.evaluation.jobs import ESTIMATE
from splitstrument.evaluation.metrics.registry import HEADS, MAIN_MEASURES, NOTES, SOURCES
from splitstrument.evaluation.record import Record, values_of
from splitstrument.tables import markdown, number, percent


def summary_rows(record: Record, source: str, measures: Sequence[str] = MAIN_MEASURES) -> list[list[str]]:
    """A row of medians per system."""
    return [
        [name, *(number(record["summary"][system][source][measure]["median"]) for measure in measures)]
        for system, name in record["systems"].items()
    ]


def undefined_counts(record: Record) -> list[str]:
    """Sentences on values that are undefined for some tracks."""
    sentences = []
    for source in SOURCES:
        for measure in ("sdr", "si_sdr"):
            summary = record["summary"].get(ESTIMATE, {}).get(source, {}).get(measure)
            if summary and summary["undefined"]:
                total = summary["n"] + summary["undefined"]
                sentences.append(
                    f"{HEADS[measure]} of the {source} is defined for {summary['n']} of {total} tracks (elsewhere the "
                    "reference or the estimate is silent or missing); the median is over those."
                )
    return sentences


def track_rows(record: Record, measures: Sequence[str] = ("sdr", "sir", "sar", "si_sdr")) -> list[list[str]]:
    """A row per track, the worst instrument SI-SDR first; tracks without a score come before all others."""
    order = sorted(record["tracks"], key=_badness)
    rows = []
    for track in order:
        kinds = ", ".join(dict.fromkeys(problem["kind"] for problem in track["problems"]))
        cells = [number(values_of([track], ESTIMATE, source, m)[0]) for source in SOURCES for m in measures]
        gain = _difference(track, "mixture")
        rows.append([track["track"], *cells, number(gain, signed=True), kinds or "–"])
    return rows


def comparison_lines(record: Record) -> list[str]:
    """What the estimates gain over the trivial baselines, in sentences."""
    lines = []
    names = {"mixture": "mixture", "eq": "best fixed EQ"}
    for base, by_source in record["improvement"].items():
        gain = by_source["instrument"]["si_sdr"]
        if gain["n"]:
            interval = f" (95 % interval {number(gain['low'])} to {number(gain['high'])})" if gain["low"] else ""
            lines.append(
                f"Instrument, SI-SDR over the {names[base]}: {number(gain['median_difference'], signed=True)} dB at "
                f"the median of {gain['n']} tracks{interval}, better on {gain['wins']}, p = {gain['p']:.3g}."
            )
    for base, by_ceiling in record["share_of_distance"].items():
        share = by_ceiling.get("irm", {}).get("instrument", {}).get("si_sdr")
        if share is not None:
            lines.append(f"Share of the distance from the {names[base]} to the ideal ratio mask: {percent(share)}.")
    return lines


def text_report(record: Record) -> str:
    """The readable table of ``evaluation.txt``."""
    parts = [f"# {record['name']}\n", _measured_on(record)]
    for source in SOURCES:
        parts.append(f"\n{source.capitalize()}, medians in dB\n")
        parts.append(markdown(["", *(HEADS[m] for m in MAIN_MEASURES)], summary_rows(record, source)))
    parts.append("\n" + "\n".join(["", *comparison_lines(record), *undefined_counts(record), NOTES]) + "\n")
    parts.append("\nTracks, worst first (dB)\n")
    heads = [f"{HEADS[m]} {source[:4]}." for source in SOURCES for m in ("sdr", "sir", "sar", "si_sdr")]
    parts.append(markdown(["track", *heads, "over mixture", "problems"], track_rows(record)))
    if record["problems"]:
        parts.append("\nProblems\n" + "".join(f"- {sentence}\n" for sentence in record["problems"]))
    return "\n".join(parts)


def _measured_on(record: Record) -> str:
    data: dict[str, Any] = record.get("measured_on", {})
    seconds = sum(track["seconds"] for track in record["tracks"])
    return (
        f"Measured on {data.get('name', 'unnamed data')}: {len(record['tracks'])} tracks, {seconds / 60:.1f} minutes."
    )


def _difference(track: Record, base: str, measure: str = "si_sdr") -> float | None:
    ours, theirs = (values_of([track], system, "instrument", measure)[0] for system in (ESTIMATE, base))
    return None if ours is None or theirs is None or not math.isfinite(ours) else ours - theirs


def _badness(track: Record) -> float:
    value = values_of([track], ESTIMATE, "instrument", "si_sdr")[0]
    return -math.inf if value is None else value
