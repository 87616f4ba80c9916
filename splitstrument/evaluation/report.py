"""Write the report of some evaluations: ``report.html``, ``report.md`` and ``report.csv``."""

from __future__ import annotations

from pathlib import Path

from splitstrument.evaluation import report_tables
from splitstrument.evaluation.record import csv_text
from splitstrument.evaluation.report_data import Evaluation, load_evaluations
from splitstrument.evaluation.report_html import report_html
from splitstrument.evaluation.report_tables import Table
from splitstrument.evaluation.rosetta import field_table, rosetta_table, spread_table
from splitstrument.evaluation.scores import SOURCES
from splitstrument.evaluation.tables import NOTES, comparison_lines, markdown, undefined_counts
from splitstrument.files import write_text
from splitstrument.provenance import provenance

NAMES = ("report.html", "report.md", "report.csv")


def write_report(paths: list[Path], folder: Path, title: str, examples: int = 3) -> list[Path]:
    """Read evaluations (or run folders that hold some) and write their report.

    Returns
    -------
    files
        HTML, Markdown and CSV.
    """
    evaluations = load_evaluations(paths)
    made = provenance({"title": title, "examples": examples}, [e.folder / "evaluation.yaml" for e in evaluations])
    texts = (report_html(evaluations, title, made, examples), report_markdown(evaluations, title), _csv(evaluations))
    for name, text in zip(NAMES, texts, strict=True):
        write_text(folder / name, text)
    return [folder / name for name in NAMES]


def report_markdown(evaluations: list[Evaluation], title: str) -> str:
    """The tables and sentences of the report as Markdown."""
    general = [
        report_tables.overview(evaluations),
        report_tables.published_beside_measured(evaluations),
        report_tables.paired_tests(evaluations),
        report_tables.seeds(evaluations),
        report_tables.time_and_memory(evaluations),
    ]
    parts = [f"# {title}\n", NOTES + "\n", *(_markdown(table) for table in general if table)]
    for evaluation in evaluations:
        parts.append(f"## {evaluation.name} on {evaluation.data}\n")
        sentences = [*comparison_lines(evaluation.record), *undefined_counts(evaluation.record)]
        parts.append("\n".join(f"- {sentence}" for sentence in sentences) + "\n")
        tables = [report_tables.systems(evaluation, source) for source in ("instrument", "rest")]
        parts += [
            _markdown(t) for t in [*tables, report_tables.quartiles(evaluation), report_tables.tracks(evaluation)]
        ]
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
