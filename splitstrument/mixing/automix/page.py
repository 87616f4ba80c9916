"""The report of an automatic mix: one HTML page with a line for each rule, and plots before and after."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from splitstrument.errors import missing_extra
from splitstrument.files import write_text
from splitstrument.loudness import SHORT_TERM_STEPS, STEPS_PER_S, Loudness

if TYPE_CHECKING:
    from splitstrument.mixing.automix.mix import Automixed, Curves

BEFORE, AFTER, LEAD = "#9db8c9", "#1b6ca8", "#c2571a"
STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;max-width:72rem;margin:2rem auto;padding:0 1rem;color:#1c2733}"
    "table{border-collapse:collapse;width:100%;margin:1rem 0}th,td{text-align:left;vertical-align:top;"
    "padding:.45rem .8rem .45rem 0;border-bottom:1px solid #d5dde3}img{max-width:100%;height:auto}"
    "td.number{text-align:right;font-variant-numeric:tabular-nums}th.number{text-align:right}"
)
RULES = ("rule", "measured", "decision", "reason")
LEVELS = {
    "integrated, LUFS": "integrated_lufs",
    "range, LU": "range_lu",
    "loudest 3 s, LUFS": "short_term_max_lufs",
    "highest sample, dBFS": "sample_peak_dbfs",
}


def write_page(mixed: Automixed, path: Path) -> None:
    """Write the report as one file that needs no other.

    Raises
    ------
    MissingExtraError
        If matplotlib is not installed.
    """
    picture = base64.b64encode(plots(mixed)).decode()
    rows = [[getattr(decision, key) for key in RULES] for decision in mixed.decisions]
    levels = [[label, _number(mixed.before, key), _number(mixed.after, key)] for label, key in LEVELS.items()]
    title = f"Automatic mix: {mixed.path.name}"
    notes = "".join(f"<p>{escape(note)}</p>" for note in mixed.notes)
    write_text(
        path,
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width"><title>{escape(title)}</title><style>{STYLE}</style>'
        f"</head><body><h1>{escape(title)}</h1><p>The lead is <strong>{escape(mixed.lead)}</strong>; "
        "everything else is its backing. Rules work from top to bottom; none was learned; each can be switched off.</p>"
        f"{_table(RULES, rows)}<h2>Before and after</h2>{_table(('', 'stems as they are', 'mix'), levels, 1)}{notes}"
        '<img alt="Spectra of lead and backing, and loudness over time, before and after" '
        f'src="data:image/png;base64,{picture}"></body></html>\n',
    )


def plots(mixed: Automixed) -> bytes:
    """Spectra of lead and backing, and loudness over time, before and after, as a PNG."""
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise missing_extra("The report of a mix", "train") from None
    figure = Figure(figsize=(11, 7), layout="constrained")
    spectra, over_time = figure.subplots(2, 1)
    _draw_spectra(spectra, mixed.before_curves, mixed.after_curves)
    curves = (("stems as they are", mixed.before_curves, BEFORE), ("mix", mixed.after_curves, AFTER))
    for label, one, colour in curves:
        seconds = (np.arange(len(one.short_term_lufs)) + SHORT_TERM_STEPS) / STEPS_PER_S
        over_time.plot(seconds, np.maximum(one.short_term_lufs, -70), color=colour, label=label)
    over_time.set(title="Short-term loudness", xlabel="seconds", ylabel="LUFS")
    for axes in (spectra, over_time):
        axes.grid(alpha=0.3)
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    file = io.BytesIO()
    figure.savefig(file, dpi=110, format="png", metadata={"Software": None})
    return file.getvalue()


def _draw_spectra(axes: Any, before: Curves, after: Curves) -> None:
    """Levels by octave; after is as the mix has them, less its master gain."""
    for label, one, style in (("before", before, "--"), ("after", after, "-")):
        if one.levels_db is None:
            continue
        for name, levels, colour in zip(("lead", "backing"), one.levels_db, (LEAD, AFTER), strict=True):
            axes.semilogx(one.octaves_hz, levels, style, marker="o", color=colour, label=f"{name}, {label}")
    axes.set(title="Level by the hertz in octaves, where the lead sounds", xlabel="Hz", ylabel="dB")
    axes.set_xticks(before.octaves_hz, [f"{hertz:g}" for hertz in before.octaves_hz])
    axes.minorticks_off()


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], first_number: int = 99) -> str:
    kinds = [' class="number"' if index >= first_number else "" for index in range(len(header))]
    head = "".join(f"<th{kind}>{escape(name)}</th>" for name, kind in zip(header, kinds, strict=True))
    body = "".join(
        "<tr>" + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True)) + "</tr>"
        for row in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _number(loudness: Loudness, key: str) -> str:
    value = getattr(loudness, key)
    return "–" if value is None else f"{value:.1f}"
