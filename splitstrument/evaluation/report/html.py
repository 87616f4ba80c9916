"""The report as one HTML page that needs no other file and no internet.

What stands in it is gathered here; how it looks is in ``templates/``.
"""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import soundfile
import yaml

from splitstrument import audio
from splitstrument.errors import AudioFileError
from splitstrument.evaluation.ears import Agreement
from splitstrument.evaluation.excerpts import SIGNALS
from splitstrument.evaluation.metrics.registry import SOURCES, legend
from splitstrument.evaluation.report import tables
from splitstrument.evaluation.report.data import Evaluation, silence_histogram, worst_tracks
from splitstrument.evaluation.report.svg import bar_chart, box_plot, line_chart, scatter
from splitstrument.evaluation.report.tables import Table
from splitstrument.evaluation.report.text import comparison_lines, undefined_counts
from splitstrument.evaluation.schema import ESTIMATE, ExcerptRecord, TrackRecord
from splitstrument.files import inside
from splitstrument.pictures import LOWEST_HZ, RANGE_DB, excerpt_pictures
from splitstrument.tables import number
from splitstrument.version import __version__

TEMPLATES = Path(__file__).parent / "templates"
AUDIO_FORMAT = {"format": "OGG", "subtype": "VORBIS"}
PICTURE_NAMES = {
    "mixture": "mixture",
    "instrument": "instrument (reference)",
    "estimate": "estimate",
    "mask": "mask: estimate / mixture, dark 0, bright 1",
}
BUCKETS = [f"<{10 * i} %" for i in range(1, 10)] + ["≥90 %"]


@dataclass(frozen=True)
class Figure:
    """A spectrogram with its sound, both as data: addresses; `ticks` are heights in percent and their labels."""

    label: str
    picture: str
    ticks: list[tuple[str, str]]
    sound: str | None = None


@dataclass(frozen=True)
class Example:
    """An excerpt of a track to look at and listen to."""

    heading: str
    text: str
    figures: list[Figure] = field(default_factory=list)


@cache
def _templates() -> Any:
    """Templates by name; they escape what they are given."""
    from web.template import render  # not above: a command that makes no page needs no web.py

    parts = {f"show_{name}": part for name, part in (("table", _table), ("chart", _chart), ("example", _example))}
    return render(str(TEMPLATES), cache=True, globals=parts)


def _fill(name: str, *values: Any) -> str:
    return str(getattr(_templates(), name)(*values))


def report_html(
    evaluations: list[Evaluation],
    title: str,
    provenance: dict[str, Any],
    examples: int = 3,
    heard: Sequence[Agreement] = (),
) -> str:
    """Build the page.

    Parameters
    ----------
    examples
        Tracks with spectrograms and audio per evaluation, the worst ones.
    heard
        What a listening test says of the metrics.
    """
    sections = [("overview", "Overview", _overview(evaluations))]
    published = tables.published_beside_measured(evaluations)
    if published:
        sections.append(("published", "Published beside measured", _table(published, "published")))
    tests = [tables.paired_tests(evaluations), tables.seeds(evaluations)]
    sections.append(("compare", "Models compared", _charts(evaluations) + "".join(_table(t) for t in tests if t)))
    curves = _curves(evaluations)
    if curves:
        sections.append(("learning", "Learning curves", curves))
    for index, evaluation in enumerate(evaluations):
        name = f"{evaluation.name} on {evaluation.data}"
        sections.append((f"evaluation{index}", name, _evaluation(evaluation, examples)))
    if heard:
        sections.append(("ears", "Metrics and ears", _table(tables.ears(heard))))
    time = tables.time_and_memory(evaluations)
    if time:
        sections.append(("time", "Time and memory", _table(time)))
    sections.append(("provenance", "What made these numbers", _provenance(evaluations, provenance)))
    return _page(title, sections)


def _page(title: str, sections: list[tuple[str, str, str]]) -> str:
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    return _fill("page", title, __version__, style, sections)


def _overview(evaluations: list[Evaluation]) -> str:
    sentences = [_data_sentence(evaluation) for evaluation in unique_data(evaluations)]
    return _fill("overview", sentences, tables.overview(evaluations), legend())


def unique_data(evaluations: list[Evaluation]) -> list[Evaluation]:
    """The first evaluation of each data set."""
    return list({evaluation.data: evaluation for evaluation in reversed(evaluations)}.values())[::-1]


def _data_sentence(evaluation: Evaluation) -> str:
    seconds = sum(track["seconds"] for track in evaluation.record["tracks"])
    passport = evaluation.record.get("measured_on", {}).get("passport")
    known = "; ".join(f"{key}: {value}" for key, value in (passport or {}).items()) or "it has no passport"
    return f"{evaluation.data}: {len(evaluation.record['tracks'])} tracks, {seconds / 60:.1f} minutes; {known}"


def _charts(evaluations: list[Evaluation]) -> str:
    """Box plots per data set: the baselines once, then every model."""
    charts = []
    for first in unique_data(evaluations):
        same = [evaluation for evaluation in evaluations if evaluation.data == first.data]
        for measure, name in (("si_sdr", "SI-SDR"), ("sdr", "SDR, the thesis's measure")):
            groups = [
                (text, first.values(measure, system=system))
                for system, text in first.record["systems"].items()
                if system in ("mixture", "eq")
            ]
            groups += [(evaluation.name, evaluation.values(measure)) for evaluation in same]
            groups += (
                [(first.record["systems"]["irm"], first.values(measure, system="irm"))]
                if "irm" in first.record["systems"]
                else []
            )
            chart = box_plot(groups, f"{name} of the instrument on {first.data}")
            charts.append(_chart(f"{name} of the instrument on {first.data}", chart))
    return "".join(charts)


def _curves(evaluations: list[Evaluation]) -> str:
    runs = list({e.name: e for e in evaluations if e.history}.values())
    charts = []
    for key, name in (("loss", "training loss"), ("val_loss", "validation loss")):
        series = [
            (run.name, [(row.get("epoch", 0.0), row.get(key, float("nan"))) for row in run.history]) for run in runs
        ]
        chart = line_chart(series, f"{name} over epochs", "epoch", name)
        charts.append(_chart(name.capitalize(), chart))
    return "".join(charts)


def _evaluation(evaluation: Evaluation, examples: int) -> str:
    record = evaluation.record
    silence = bar_chart(
        silence_histogram(evaluation),
        BUCKETS,
        f"Silence of the instrument in {evaluation.data}",
        "silent share of a track",
    )
    return _fill(
        "evaluation",
        [*comparison_lines(record), *undefined_counts(record)],
        [*(tables.systems(evaluation, source) for source in SOURCES), tables.quartiles(evaluation)],
        _scatter(evaluation),
        tables.tracks(evaluation),
        record["problems"],
        silence,
        [_example_of(evaluation, track) for track in worst_tracks(evaluation, examples)],
    )


def _scatter(evaluation: Evaluation) -> str:
    names = [track["track"] for track in evaluation.record["tracks"]]
    mixture, ours = evaluation.values("si_sdr", system="mixture"), evaluation.values("si_sdr")
    points = [(a, b, name) for a, b, name in zip(mixture, ours, names, strict=True) if a is not None and b is not None]
    return scatter(points, "SI-SDR of the mixture and of the estimate, per track", "mixture, dB", "estimate, dB")


def _chart(name: str, svg: str) -> str:
    """A chart under its name; it scrolls on narrow screens, so that its text stays legible."""
    return _fill("chart", name, svg)


def _example(example: Example) -> str:
    return _fill("example", example)


def _example_of(evaluation: Evaluation, track: TrackRecord) -> Example:
    """Spectrograms and players of one track's excerpt."""
    excerpt = track["excerpt"]
    try:
        signals, rate = _read_excerpt(evaluation, excerpt)
    except AudioFileError as error:
        return Example(track["track"], str(error))
    score = number(track["scores"][ESTIMATE]["instrument"].get("si_sdr"))
    start, end = excerpt["start_s"], excerpt["start_s"] + excerpt["duration_s"]
    text = (
        f"From {start:.0f} s to {end:.0f} s; {LOWEST_HZ:.0f} Hz to {rate / 2000:.1f} kHz on a log scale, "
        f"{RANGE_DB:.0f} dB from dark to bright."
    )
    return Example(f"{track['track']}: SI-SDR {score} dB", text, list(_figures(signals, rate)))


def _figures(signals: dict[str, Any], rate: int) -> Iterator[Figure]:
    for name, data in excerpt_pictures(signals, rate).items():
        sound = _sound(signals[name], rate) if name in signals else None
        yield Figure(PICTURE_NAMES[name], _data_url("image/png", data), _ticks(rate), sound)


def _sound(samples: Any, rate: int) -> str:
    stream = io.BytesIO()
    soundfile.write(stream, samples, rate, **AUDIO_FORMAT)
    return _data_url("audio/ogg", stream.getvalue())


def _ticks(rate: int) -> list[tuple[str, str]]:
    """Frequencies to write over a spectrogram, each with its height in percent."""
    span = math.log(rate / 2 / LOWEST_HZ)
    return [
        (f"{100 * math.log(hz / LOWEST_HZ) / span:.1f}", f"{hz // 1000} kHz" if hz >= 1000 else f"{hz} Hz")
        for hz in (100, 1000, 10_000)
        if hz < rate / 2
    ]


def _read_excerpt(evaluation: Evaluation, excerpt: ExcerptRecord) -> tuple[dict[str, Any], int]:
    paths = {name: evaluation.folder / str(excerpt["files"][name]) for name in SIGNALS}
    for path in paths.values():
        if not inside(evaluation.folder, path):
            raise AudioFileError(f"{path} lies outside the evaluation's folder: evaluate again.")
    read = {name: audio.read(path) for name, path in paths.items()}
    return {name: signal for name, (signal, _) in read.items()}, read["mixture"][1]


def _provenance(evaluations: list[Evaluation], provenance: dict[str, Any]) -> str:
    blocks = [("This report", provenance)]
    for evaluation in evaluations:
        made = {"model": evaluation.record.get("model"), **evaluation.record.get("provenance", {})}
        blocks.append((f"{evaluation.name} on {evaluation.data}", made))
    return _fill("provenance", [(name, _yaml(data)) for name, data in blocks])


def _yaml(data: Any) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def _table(table: Table, mark: str = "") -> str:
    """A table; columns whose head starts with `mark` are set off."""
    classes = [f' class="{mark}"' if mark and head.startswith(mark) else "" for head in table.header]
    return _fill("table", table, classes)


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
