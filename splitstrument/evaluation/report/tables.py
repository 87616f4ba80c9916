"""The tables of a report as header and rows, for Markdown and HTML alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from splitstrument.evaluation.ears import Agreement
from splitstrument.evaluation.metrics.registry import SOURCES, metrics, shown, units
from splitstrument.evaluation.report.data import Evaluation, comparisons, seed_groups
from splitstrument.evaluation.report.text import summary_rows, track_heads, track_rows, worse
from splitstrument.evaluation.schema import ESTIMATE, statistic
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
    """A row for the instrument and one for the rest of every evaluation, beside baselines and the ceiling."""
    header = ["model", "measured on", "tracks", "what", "SDR (thesis)", "SI-SDR", "95 % interval", "worst tenth",
              "mixture", "fixed EQ", "EQ mid/side", "ratio mask", "over mixture", "worse than mixture", "over EQ",
              "share EQ→mask"]  # fmt: skip
    rows = [_overview_row(e, source) for e in evaluations for source in SOURCES]
    return Table("Medians over tracks in dB; all but the first SDR are SI-SDR", header, rows)


def published_beside_measured(evaluations: list[Evaluation]) -> Table | None:
    """The thesis's number and ours in separate columns; they were measured on different data."""
    rows = []
    for evaluation in evaluations:
        published = evaluation.published
        if not published:
            continue
        for source in SOURCES:
            rows.append(
                [
                    evaluation.name,
                    published.get("table", "–"),
                    source,
                    *(number(published.get(source, {}).get(measure)) for measure in THESIS_MEASURES),
                    *(number(statistic(evaluation.record, ESTIMATE, source, m)) for m in THESIS_MEASURES),
                    evaluation.data,
                ]
            )
    header = ["training", "thesis", "source"]
    labels = [metrics()[key].label for key in THESIS_MEASURES]
    header += [f"published {label}" for label in labels] + [f"measured {label}" for label in labels]
    caption = (
        "Published beside measured, medians in dB. The published numbers were measured on the thesis's own recordings, "
        "ours on the data in the last column: the columns show the same measure on different data and must not be "
        "subtracted."
    )
    return Table(caption, [*header, "measured on"], rows) if rows else None


def systems(evaluation: Evaluation, source: str) -> Table:
    """Estimates, baselines and ceilings under every measure."""
    caption = f"{evaluation.name} on {evaluation.data}: the {source}, medians {units()}"
    return Table(caption, ["", *(metrics()[key].label for key in shown())], summary_rows(evaluation.record, source))


def quartiles(evaluation: Evaluation) -> Table:
    """Median, its interval, the worst tenth, mean and quartiles of the estimates."""
    rows, names = [], ("median", "low", "high", "worst_tenth", "mean", "q1", "q3")
    for source in SOURCES:
        for key in shown():
            n = statistic(evaluation.record, ESTIMATE, source, key, "n")
            if n:
                cells = [number(statistic(evaluation.record, ESTIMATE, source, key, name)) for name in names]
                undefined = statistic(evaluation.record, ESTIMATE, source, key, "undefined")
                rows.append([f"{source} {metrics()[key].label}", *cells, f"{n:.0f}", f"{undefined:.0f}"])
    header = ["", "median", "95 % from", "to", "worst tenth", "mean", "quartile 1", "quartile 3", "tracks", "undefined"]
    return Table(f"{evaluation.name} on {evaluation.data}: spread over tracks", header, rows)


def tracks(evaluation: Evaluation) -> Table:
    """Every track, the worst first."""
    caption = f"{evaluation.name} on {evaluation.data}: tracks, worst SI-SDR of the instrument first, in dB"
    return Table(caption, track_heads(), track_rows(evaluation.record))


def paired_tests(evaluations: list[Evaluation]) -> Table | None:
    """Every two evaluations on the same tracks."""
    rows = [
        [
            f"{test['a']} − {test['b']}",
            test["data"],
            test["source"],
            str(test["n"]),
            number(test["median_difference"], signed=True),
            _interval(test["low"], test["high"], signed=True),
            f"{test['wins']} of {test['n']}",
            number(test["effect"], signed=True),
            *("–" if test[key] is None else f"{test[key]:.3g}" for key in ("p", "p_corrected")),
        ]
        for test in comparisons(evaluations)
    ]
    header = ["difference", "data", "what", "tracks", "median SI-SDR", "95 % interval", "first is better", "effect",
              "p", "p, corrected"]  # fmt: skip
    caption = (
        "Paired comparison on the same tracks, dB: sign-flip permutation test, two-sided, corrected for the number of "
        "tests of this table (Holm); effect: rank-biserial correlation, from -1 to 1"
    )
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


def ears(found: Sequence[Agreement]) -> Table:
    """How well metrics follow the listeners of a test."""
    rows = [
        [
            each.instrument,
            metrics()[each.metric].label,
            number(each.tau, signed=True),
            _interval(each.low, each.high, signed=True),
            str(each.n_stimuli),
            str(each.n_tracks),
        ]
        for each in found
    ]
    header = ["instrument", "metric", "Kendall's tau", "95 % interval", "stimuli", "tracks"]
    caption = (
        "Metrics beside ears: rank correlation of each metric with the mean ratings of the listening test, the anchor "
        "included, the hidden reference not; intervals by resampling tracks"
    )
    return Table(caption, header, rows)


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


def _overview_row(evaluation: Evaluation, source: str) -> list[str]:
    record = evaluation.record

    def si_sdr(system: str, name: str = "median") -> str:
        return number(statistic(record, system, source, "si_sdr", name))

    return [
        evaluation.name,
        evaluation.data,
        str(len(record["tracks"])),
        source,
        number(statistic(record, ESTIMATE, source, "sdr")),
        si_sdr(ESTIMATE),
        _interval(
            statistic(record, ESTIMATE, source, "si_sdr", "low"), statistic(record, ESTIMATE, source, "si_sdr", "high")
        ),
        si_sdr(ESTIMATE, "worst_tenth"),
        *(si_sdr(system) for system in ("mixture", "eq", "eq_ms", "irm")),
        number(_get(record, "improvement", "mixture", source, "si_sdr", "median_difference"), signed=True),
        worse(_get(record, "improvement", "mixture", source, "si_sdr")),
        number(_get(record, "improvement", "eq", source, "si_sdr", "median_difference"), signed=True),
        percent(_get(record, "share_of_distance", "eq", "irm", source, "si_sdr")),
    ]


def _interval(low: float | None, high: float | None, signed: bool = False) -> str:
    return "–" if low is None else f"{number(low, signed)} to {number(high, signed)}"


def _get(data: Any, *keys: str) -> Any:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data
