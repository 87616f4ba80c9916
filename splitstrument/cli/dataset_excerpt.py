"""`splitstrument dataset excerpt`: cut a small set out of pairs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--from", "pairs_folder", type=click.Path(path_type=Path), required=True, help="Folder of pairs.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder to write.")
def excerpt(recipe: Path, pairs_folder: Path, output: Path) -> None:
    """Cut the excerpts that RECIPE lists out of a folder of pairs.

    \b
    splitstrument dataset build datasets/frets_on_fire.yaml
    splitstrument dataset excerpt datasets/sample/real.yaml --from data/frets_on_fire -o datasets/sample
    """
    from splitstrument.settings import load_settings
    from splitstrument.stems.excerpts import ExcerptRecipe, cut_excerpts

    for path in cut_excerpts(load_settings(recipe, ExcerptRecipe).settings, pairs_folder, output):
        click.echo(path)
