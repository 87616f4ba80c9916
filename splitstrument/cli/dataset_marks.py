"""`splitstrument dataset marks`: the quality marks as one file."""

from __future__ import annotations

from pathlib import Path

import click

from splitstrument.cli.common import json_option, print_json, print_table


@click.group()
def marks() -> None:
    """Export, import and count the quality marks of an organised dataset.

    \b
    splitstrument dataset marks export data/mine --class guitar marks_guitar.yaml
    splitstrument dataset marks import data/mine --class guitar marks_guitar.yaml
    splitstrument dataset marks count marks_guitar.yaml
    """


_class_option = click.option("--class", "stem_class", required=True, help="Class that the marks are about.")


@marks.command("export")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@_class_option
def export_marks(dataset: Path, file: Path, stem_class: str) -> None:
    """Write the marks of DATASET to FILE."""
    from splitstrument.datasets.marks import check_class_here, read_all_marks, write_marks_file

    check_class_here(dataset, stem_class)
    found = read_all_marks(dataset, stem_class)
    write_marks_file(file, found)
    click.echo(f"{file}: marks of {len(found)} tracks.")


@marks.command("import")
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("file", type=click.Path(path_type=Path))
@_class_option
def import_marks(dataset: Path, file: Path, stem_class: str) -> None:
    """Make the marks of DATASET equal to those in FILE; tracks that are only in one of them stay as they are."""
    from splitstrument.datasets.marks import check_class_here, read_marks_file
    from splitstrument.datasets.marks import import_marks as run

    check_class_here(dataset, stem_class)
    found = read_marks_file(file)
    missing = run(dataset, stem_class, found)
    click.echo(f"{len(found) - len(missing)} tracks marked; {len(missing)} of the file are not in {dataset}.")
    for name in missing:
        click.echo(f"not there: {name}")


@marks.command("count")
@click.argument("file", type=click.Path(path_type=Path))
@json_option
def count_marks(file: Path, as_json: bool) -> None:
    """Count the tracks in FILE by mark, and those that may be used."""
    from splitstrument.datasets.marks import count_marks as run
    from splitstrument.datasets.marks import read_marks_file

    counts = run(read_marks_file(file))
    if as_json:
        print_json(vars(counts))
    else:
        print_table(("mark", "tracks"), list(counts.by_mark.items()))
        click.echo(f"{counts.n_usable} of {counts.n_tracks} tracks are usable.")
