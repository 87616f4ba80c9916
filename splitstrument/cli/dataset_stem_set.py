"""`splitstrument dataset stem-set`: pairs of real songs in the form that networks with several outputs learn from."""

from __future__ import annotations

from pathlib import Path

import click

from splitstrument.cli.common import options


@click.command("stem-set")
@click.argument("pairs", type=click.Path(path_type=Path))
@options(
    click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder to write."),
    click.option("--stem", default="guitar", show_default=True, help="Which stem the instrument of the pairs is."),
    click.option("--silent", multiple=True, metavar="STEM", help="A stem that nobody plays in any song (repeatable)."),
    click.option("--artist", default="", help="Keep all songs together in splits, under this name."),
    click.option("--part", type=click.Choice(["train", "validation", "test"]), default="train", show_default=True),
    click.option("--rate", type=click.IntRange(8000, 192_000), default=22_050, show_default=True, help="Rate in Hz."),
)
def stem_set(pairs: Path, output: Path, stem: str, silent: tuple[str, ...], artist: str, part: str, rate: int) -> None:
    """Make a stem set of PAIRS: the instrument is known, the rest becomes `other`, of which nothing is known.

    \b
    splitstrument dataset build datasets/muldjord.yaml
    splitstrument dataset stem-set data/muldjord -o data/muldjord_set --silent piano --artist Muldjord
    """
    from splitstrument.stem_set import from_pairs

    for track in from_pairs(pairs, output, stem, silent, artist, part, rate):
        click.echo(f"{track.name}: {track.duration_s:.1f} s, known: {', '.join(track.known)}")
