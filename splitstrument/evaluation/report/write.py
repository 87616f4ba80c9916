"""Write the report of some evaluations: ``report.html``, ``report.md`` and ``report.csv``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from splitstrument.evaluation.ears import Agreement, agreements
from splitstrument.evaluation.metrics.registry import SOURCES, legend
from splitstrument.evaluation.record import csv_text
from splitstrument.evaluation.report import tables
from splitstrument.evaluation.report.data import Evaluation, load_evaluations
from splitstrument.evaluation.report.html import report_html
from splitstrument.evaluation.report.rosetta import field_table, rosetta_table, spread_table
from splitstrument.evaluation.report.tables import Table
from splitstrument.evaluation.report.text import comparison_lines, undefined_counts
from splitstrument.files import write_text
from splitstrument.provenance import provenance
from splitstrument.tables import markdown

NAMES = ("report.html", "report.md", "report.csv")


def write_report(
    paths: list[Path], folder: Path, title: str, examples: int = 3, ratings: Path | None = None
) -> list[Path]:
    """Read evaluations (or run folders that hold some) and write their report.

    Parameters
    ----------
    ratings
        Those of a listening test on these evaluations, which the report then sets beside the metrics.

    Returns
    -------
    files
        HTML, Markdown and CSV.
    """
    evaluations = load_evaluations(paths)
    made = provenance({"title": title, "examples": examples}, [e.file for e in evaluations])
    heard = agreements(evaluations, ratings) if ratings else []
    page, text = report_html(evaluations, title, made, examples, heard), report_markdown(evaluations, title, heard)
    texts = (page, text, _csv(evaluations))
    for name, text in zip(NAMES, texts, strict=True):
        write_text(folder / name, text)
    return [folder / name for name in NAMES]


def report_markdown(evaluations: list[Evaluation], title: str, heard: Sequence[Agreement] = ()) -> str:
    """The tables and sentences of the report as Markdown."""
    general = [
        tables.overview(evaluations),
        tables.published_beside_measured(evaluations),
        tables.paired_tests(evaluations),
        tables.seeds(evaluations),
        tables.ears(heard) if heard else None,
        tables.time_and_memory(evaluations),
    ]
    parts = [f"# {title}\n", legend() + "\n", *(_markdown(table) for table in general if table)]
    for evaluation in evaluations:
        parts.append(f"## {evaluation.name} on {evaluation.data}\n")
        sentences = [*comparison_lines(evaluation.record), *undefined_counts(evaluation.record)]
        parts.append("\n".join(f"- {sentence}" for sentence in sentences) + "\n")
        of_sources = [tables.systems(evaluation, source) for source in ("instrument", "rest")]
        parts += [_markdown(t) for t in [*of_sources, tables.quartiles(evaluation), tables.tracks(evaluation)]]
        parts += [f"- {sentence}\n" for sentence in evaluation.record["problems"]]
    return "\n".join(parts)


def rosetta_markdown(paths: list[Path]) -> str:
    """The same estimates under every measure, with the field's reference points apart."""
    tables = []
    for evaluation in load_evaluations(paths):
        for source in SOURCES:
            tables += [rosetta_table(evaluation.record, source), spread_table(evaluation.record, source)]
    return "\n".join(_markdown(table) for table in [*tables, field_table()])


def _markdown(table: Table) -> str:
    return f"{table.caption}\n\n{markdown(table.header, table.rows)}"


def _csv(evaluations: list[Evaluation]) -> str:
    texts = [csv_text(evaluation.record).splitlines() for evaluation in evaluations]
    return "\n".join([*texts[0][:1], *(line for lines in texts for line in lines[1:])]) + "\n"
