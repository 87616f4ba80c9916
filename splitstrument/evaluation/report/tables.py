"""The tables of a report as header and rows, for Markdown and HTML alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from splitstrument.evaluation.jobs import ESTIMATE
from splitstrument.evaluation.metrics.registry import HEADS, MAIN_MEASURES, SOURCES
from splitstrument.evaluation.report.data import Evaluation, comparisons, seed_groups
from splitstrument.evaluation.report.text import summary_rows, track_rows
from splitstrument.evaluation.statistics import defined
from splitstrument.tables import number, percent

THESIS_MEASURES = ("sdr", "sir", "sar")


@dataclass(frozen=True)
class Table:
    """A table with its caption; `rows` are text."""

    caption: str
    header: list[str]
    rows: list[list[str]]


def overview(evaluations: list[Evaluation]) -> Table:
    """One row per evaluation: medians with intervals, gains and shares for the instrument."""
    header = ["model", "measured on", "tracks", "SDR (thesis)", "SI-SDR", "95 % interval", "over mixture", "over EQ",
              "share mixture→IRM", "share EQ→IRM"]  # fmt: skip
    return Table("The instrument, medians over tracks in dB", header, [_overview_row(e) for e in evaluations])


def published_beside_measured(evaluations: list[Evaluation]) -> Table | None:
    """The thesis's number and ours in separate columns; they were measured on different data."""
    rows = []
    for evaluation in evaluations:
        published = evaluation.published
        if not published:
            continue
        for source in SOURCES:
            ours = evaluation.record["summary"].get(ESTIMATE, {}).get(source, {})
            rows.append(
                [
                    evaluation.name,
                    published.get("table", "–"),
                    source,
                    *(number(published.get(source, {}).get(measure)) for measure in THESIS_MEASURES),
                    *(number(ours.get(measure, {}).get("median")) for measure in THESIS_MEASURES),
                    evaluation.data,
                ]
            )
    header = ["training", "thesis", "source"]
    header += [f"published {HEADS[m]}" for m in THESIS_MEASURES] + [f"measured {HEADS[m]}" for m in THESIS_MEASURES]
    caption = (
        "Published beside measured, medians in dB. The published numbers were measured on the thesis's own recordings, "
        "ours on the data in the last column: the columns show the same measure on different data and must not be "
        "subtracted."
    )
    return Table(caption, [*header, "measured on"], rows) if rows else None


def systems(evaluation: Evaluation, source: str) -> Table:
    """Estimates, baselines and ceilings under every measure."""
    caption = f"{evaluation.name} on {evaluation.data}: the {source}, medians in dB"
    return Table(caption, ["", *(HEADS[m] for m in MAIN_MEASURES)], summary_rows(evaluation.record, source))


def quartiles(evaluation: Evaluation) -> Table:
    """Median, its interval, mean and quartiles of the estimates."""
    rows = []
    for source in SOURCES:
        for measure in MAIN_MEASURES:
            summary = evaluation.record["summary"].get(ESTIMATE, {}).get(source, {}).get(measure)
            if summary and summary["n"]:
                cells = [number(summary[key]) for key in ("median", "low", "high", "mean", "q1", "q3")]
                rows.append([f"{source} {HEADS[measure]}", *cells, str(summary["n"]), str(summary["undefined"])])
    header = ["", "median", "95 % from", "to", "mean", "quartile 1", "quartile 3", "tracks", "undefined"]
    return Table(f"{evaluation.name} on {evaluation.data}: spread over tracks", header, rows)


def tracks(evaluation: Evaluation) -> Table:
    """Every track, the worst first."""
    heads = [f"{HEADS[m]} {source[:4]}." for source in SOURCES for m in ("sdr", "sir", "sar", "si_sdr")]
    header = ["track", *heads, "over mixture", "problems"]
    caption = f"{evaluation.name} on {evaluation.data}: tracks, worst SI-SDR of the instrument first, in dB"
    return Table(caption, header, track_rows(evaluation.record))


def paired_tests(evaluations: list[Evaluation]) -> Table | None:
    """Every two evaluations on the same tracks."""
    rows = [
        [
            f"{test['a']} − {test['b']}",
            test["data"],
            str(test["n"]),
            number(test["median_difference"], signed=True),
            f"{number(test['low'], signed=True)} to {number(test['high'], signed=True)}",
            f"{test['wins']} of {test['n']}",
            "–" if test["p"] is None else f"{test['p']:.3g}",
        ]
        for test in comparisons(evaluations)
    ]
    header = ["difference", "data", "tracks", "median SI-SDR", "95 % interval", "first is better", "p"]
    caption = "Paired comparison on the same tracks (sign-flip permutation test, two-sided), instrument, dB"
    return Table(caption, header, rows) if rows else None


def seeds(evaluations: list[Evaluation]) -> Table | None:
    """Runs that differ only in their seed."""
    rows = [
        [
            ", ".join(dict.fromkeys(group["names"])),
            group["data"],
            ", ".join(map(str, group["seeds"])),
            *(number(group[key]) for key in ("mean", "standard_deviation", "min", "max")),
        ]
        for group in seed_groups(evaluations)
    ]
    header = ["runs", "data", "seeds", "mean", "standard deviation", "lowest", "highest"]
    return Table("Spread over seeds: median SI-SDR of the instrument, dB", header, rows) if rows else None


def time_and_memory(evaluations: list[Evaluation]) -> Table | None:
    """How long separating took, and the largest memory of a worker."""
    rows = []
    for evaluation in evaluations:
        records = evaluation.record["tracks"]
        separation = defined([track.get("separation_s") for track in records])
        if not len(separation):
            continue
        audio_s = sum(track["seconds"] for track in records if track.get("separation_s") is not None)
        memory = defined([track.get("peak_memory_mb") for track in records])
        epochs = defined([row.get("seconds") for row in evaluation.history])
        rows.append(
            [
                evaluation.name,
                ", ".join(sorted({str(track["engine"]) for track in records if track.get("engine")})),
                f"{60 * separation.sum() / audio_s:.2f} s",
                f"{audio_s / separation.sum():.1f} x",
                f"{memory.max():.0f} MB" if len(memory) else "–",
                f"{epochs.mean():.0f} s" if len(epochs) else "–",
            ]
        )
    header = ["model", "engine", "separation per minute of audio", "real time", "peak memory of a worker", "per epoch"]
    return Table("Time and memory on this machine", header, rows) if rows else None


def _overview_row(evaluation: Evaluation) -> list[str]:
    record = evaluation.record
    summary = record["summary"].get(ESTIMATE, {}).get("instrument", {})
    sdr, si_sdr = summary.get("sdr", {}), summary.get("si_sdr", {})
    return [
        evaluation.name,
        evaluation.data,
        str(len(record["tracks"])),
        number(sdr.get("median")),
        number(si_sdr.get("median")),
        f"{number(si_sdr.get('low'))} to {number(si_sdr.get('high'))}",
        number(_get(record, "improvement", "mixture", "instrument", "si_sdr", "median_difference"), signed=True),
        number(_get(record, "improvement", "eq", "instrument", "si_sdr", "median_difference"), signed=True),
        percent(_get(record, "share_of_distance", "mixture", "irm", "instrument", "si_sdr")),
        percent(_get(record, "share_of_distance", "eq", "irm", "instrument", "si_sdr")),
    ]


def _get(data: Any, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data
