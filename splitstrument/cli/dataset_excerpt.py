"""`splitstrument dataset excerpt`: cut a small set out of pairs."""

from __future__ import annotations

from pathlib import Path

import click


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("--from", "pairs_folder", type=click.Path(path_type=Path), required=True, help="Folder of pairs.")
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder to write.")
@click.option("--rate", type=click.IntRange(8000, 192_000), help="Sample rate in Hz, instead of the recipe's.")
def excerpt(recipe: Path, pairs_folder: Path, output: Path, rate: int | None) -> None:
    """Cut the excerpts that RECIPE lists out of a folder of pairs.

    \b
    splitstrument dataset build datasets/frets_on_fire.yaml
    splitstrument dataset excerpt datasets/sample/real.yaml --from data/frets_on_fire -o datasets/sample
    """
    from splitstrument.datasets.excerpts import ExcerptRecipe, cut_excerpts
    from splitstrument.settings import load_settings

    settings = load_settings(recipe, ExcerptRecipe, {"sample_rate_hz": rate} if rate else None).settings
    for path in cut_excerpts(settings, pairs_folder, output):
        click.echo(path)
