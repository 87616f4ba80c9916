"""The report as one HTML page that needs no other file and no internet."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterator
from html import escape
from typing import Any

import soundfile
import yaml

from splitstrument import audio
from splitstrument.errors import AudioFileError
from splitstrument.evaluation.excerpts import SIGNALS
from splitstrument.evaluation.metrics.registry import legend
from splitstrument.evaluation.report import tables
from splitstrument.evaluation.report.data import Evaluation, silence_histogram, worst_tracks
from splitstrument.evaluation.report.style import STYLE
from splitstrument.evaluation.report.svg import bar_chart, box_plot, line_chart, scatter
from splitstrument.evaluation.report.tables import Table
from splitstrument.evaluation.report.text import comparison_lines, undefined_counts
from splitstrument.evaluation.schema import ESTIMATE, ExcerptRecord, TrackRecord
from splitstrument.files import inside
from splitstrument.pictures import LOWEST_HZ, RANGE_DB, excerpt_pictures
from splitstrument.tables import number
from splitstrument.version import __version__

AUDIO_FORMAT = {"format": "OGG", "subtype": "VORBIS"}
PICTURE_NAMES = {
    "mixture": "mixture",
    "instrument": "instrument (reference)",
    "estimate": "estimate",
    "mask": "mask: estimate / mixture, dark 0, bright 1",
}
BUCKETS = [f"<{10 * i} %" for i in range(1, 10)] + ["≥90 %"]


def report_html(evaluations: list[Evaluation], title: str, provenance: dict[str, Any], examples: int = 3) -> str:
    """Build the page.

    Parameters
    ----------
    examples
        Tracks with spectrograms and audio per evaluation, the worst ones.
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
    time = tables.time_and_memory(evaluations)
    if time:
        sections.append(("time", "Time and memory", _table(time)))
    sections.append(("provenance", "What made these numbers", _provenance(evaluations, provenance)))
    return _page(title, sections)


def _page(title: str, sections: list[tuple[str, str, str]]) -> str:
    contents = "".join(f'<li><a href="#{key}">{escape(name)}</a></li>' for key, name, _ in sections)
    body = "".join(f'<section id="{key}"><h2>{escape(name)}</h2>{text}</section>' for key, name, text in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; media-src data:; '
        "style-src 'unsafe-inline'\">"
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body><main><h1>{escape(title)}</h1>"
        f'<p class="soft">Splitstrument {__version__}</p>'
        f'<nav aria-label="Contents"><ul>{contents}</ul></nav>{body}</main></body></html>'
    )


def _overview(evaluations: list[Evaluation]) -> str:
    lines = "".join(f"<li>{escape(_data_sentence(e))}</li>" for e in unique_data(evaluations))
    table = _table(tables.overview(evaluations))
    return f"<p>Measured on:</p><ul>{lines}</ul>{table}<p class='soft'>{escape(legend())}</p>"


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
    sentences = [*comparison_lines(record), *undefined_counts(record)]
    parts = ["".join(f"<p>{escape(sentence)}</p>" for sentence in sentences)]
    parts += [_table(tables.systems(evaluation, source)) for source in ("instrument", "rest")]
    parts += [
        _table(tables.quartiles(evaluation)),
        _scatter(evaluation),
        _table(tables.tracks(evaluation)),
    ]
    if record["problems"]:
        items = "".join(f"<li>{escape(sentence)}</li>" for sentence in record["problems"])
        parts.append(f"<h3>Problems</h3><ul>{items}</ul>")
    silence = bar_chart(
        silence_histogram(evaluation),
        BUCKETS,
        f"Silence of the instrument in {evaluation.data}",
        "silent share of a track",
    )
    parts.append(_chart("Tracks by the instrument's silent share", silence))
    parts += [_example(evaluation, track) for track in worst_tracks(evaluation, examples)]
    return "".join(parts)


def _scatter(evaluation: Evaluation) -> str:
    names = [track["track"] for track in evaluation.record["tracks"]]
    mixture, ours = evaluation.values("si_sdr", system="mixture"), evaluation.values("si_sdr")
    points = [(a, b, name) for a, b, name in zip(mixture, ours, names, strict=True) if a is not None and b is not None]
    chart = scatter(points, "SI-SDR of the mixture and of the estimate, per track", "mixture, dB", "estimate, dB")
    return _chart("Per track: SI-SDR of the mixture and of the estimate", chart)


def _chart(name: str, chart: str) -> str:
    """A chart under its name; it scrolls on narrow screens, so that its text stays legible."""
    if not chart:
        return ""
    area = f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(name)}">{chart}</div>'
    return f"<h3>{escape(name)}</h3>{area}"


def _example(evaluation: Evaluation, track: TrackRecord) -> str:
    """Spectrograms and players of one track's excerpt."""
    excerpt = track["excerpt"]
    try:
        signals, rate = _read_excerpt(evaluation, excerpt)
    except AudioFileError as error:
        return f"<h3>{escape(track['track'])}</h3><p>{escape(str(error))}</p>"
    score = track["scores"][ESTIMATE]["instrument"].get("si_sdr")
    figures = "".join(_figures(signals, rate))
    start = excerpt["start_s"]
    return (
        f"<h3>{escape(track['track'])}: SI-SDR {number(score)} dB</h3><p class='soft'>From {start:.0f} s to "
        f"{start + excerpt['duration_s']:.0f} s; {LOWEST_HZ:.0f} Hz to {rate / 2000:.1f} kHz on a log scale, "
        f"{RANGE_DB:.0f} dB from dark to bright.</p><div class='pictures'>{figures}</div>"
    )


def _figures(signals: dict[str, Any], rate: int) -> Iterator[str]:
    for name, data in excerpt_pictures(signals, rate).items():
        label = PICTURE_NAMES[name]
        player = ""
        if name in signals:
            stream = io.BytesIO()
            soundfile.write(stream, signals[name], rate, **AUDIO_FORMAT)
            source = _data_url("audio/ogg", stream.getvalue())
            player = f'<audio controls preload="none" aria-label="{label}" src="{source}"></audio>'
        image = f'<img alt="Spectrogram: {label}" src="{_data_url("image/png", data)}">'
        picture = f'<div class="picture">{image}{_ticks(rate)}</div>'
        yield f"<figure>{picture}{player}<figcaption>{label}</figcaption></figure>"


def _ticks(rate: int) -> str:
    """Frequencies written over a spectrogram at their height."""
    span = math.log(rate / 2 / LOWEST_HZ)
    marks = [(hz, 100 * math.log(hz / LOWEST_HZ) / span) for hz in (100, 1000, 10_000) if hz < rate / 2]
    texts = (f"{hz // 1000} kHz" if hz >= 1000 else f"{hz} Hz" for hz, _ in marks)
    return "".join(f'<span style="bottom:{at:.1f}%">{text}</span>' for (_, at), text in zip(marks, texts, strict=True))


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
    return "".join(
        f"<details><summary>{escape(name)}</summary><pre>{escape(_yaml(data))}</pre></details>" for name, data in blocks
    )


def _yaml(data: Any) -> str:
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True)


def _table(table: Table, mark: str = "") -> str:
    """A table; columns whose head starts with `mark` are set off."""
    marked = [bool(mark) and head.startswith(mark) for head in table.header]
    head = "".join(
        f"<th scope='col'{_class(m)}>{escape(text)}</th>" for text, m in zip(table.header, marked, strict=True)
    )
    rows = "".join(
        "<tr>"
        + f"<th scope='row'>{escape(row[0])}</th>"
        + "".join(f"<td{_class(m)}>{escape(cell)}</td>" for cell, m in zip(row[1:], marked[1:], strict=True))
        + "</tr>"
        for row in table.rows
    )
    caption = escape(table.caption)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(table.caption[:80])}">'
        f"<table><caption>{caption}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
    )


def _class(marked: bool) -> str:
    return ' class="published"' if marked else ""


def _data_url(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
