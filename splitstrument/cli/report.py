"""`splitstrument report`: evaluations as a page, as Markdown and as CSV."""

from __future__ import annotations

from pathlib import Path

import click

from splitstrument.cli.common import json_option, print_json


@click.command()
@click.argument("evaluations", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), default=Path("results/report"), show_default=True)
@click.option("--title", default="Evaluation report", show_default=True)
@click.option(
    "--examples",
    type=click.IntRange(0, 50),
    default=3,
    show_default=True,
    help="Worst tracks with audio per evaluation.",
)
@click.option("--rosetta", is_flag=True, help="Print the same estimates under every measure instead.")
@click.option("--ratings", type=click.Path(path_type=Path), help="ratings.csv of `listen`: which metric follows ears.")
@json_option
def report(
    evaluations: tuple[Path, ...],
    output: Path,
    title: str,
    examples: int,
    rosetta: bool,
    ratings: Path | None,
    as_json: bool,
) -> None:
    """Make a report of EVALUATIONS: folders of `evaluate` or `score`, or run folders that hold some.

    Writes report.html (one file, offline, printable), report.md and report.csv: published numbers beside measured ones,
    baselines and ceilings, intervals and paired tests, learning curves, worst tracks with spectrograms and audio.

    \b
    splitstrument report runs/quickstart
    splitstrument report runs/quickstart --rosetta
    splitstrument report runs/a runs/b --ratings results/listening/ratings.csv
    splitstrument report runs/table_06 runs/table_07 results/scores/htdemucs_6s/references -o results/peers
    """
    from splitstrument.evaluation.report.write import rosetta_markdown, write_report

    if rosetta:
        text = rosetta_markdown(list(evaluations))
        if as_json:
            print_json({"markdown": text})
        else:
            click.echo(text)
        return
    files = write_report(list(evaluations), output, title, examples, ratings)
    if as_json:
        print_json([str(path) for path in files])
    else:
        click.echo("\n".join(str(path) for path in files))
