"""`splitstrument dataset sources`: which raw datasets can be read, and what one holds."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from splitstrument.cli.common import json_option, print_json, print_table


@click.command()
@click.argument("name", required=False)
@click.argument("root", required=False, type=click.Path(path_type=Path))
@json_option
def sources(name: str | None, root: Path | None, as_json: bool) -> None:
    """List the raw datasets that can be read; with NAME, describe one; with ROOT, list its tracks there.

    \b
    splitstrument dataset sources
    splitstrument dataset sources slakh
    splitstrument dataset sources medleydb /data/MedleyDB
    """
    from splitstrument.datasets.sources import SOURCES, get_source

    if name is None:
        described = [_describe(source()) for source in SOURCES.members().values()]
        for problem in SOURCES.problems():
            click.echo(f"splitstrument: {problem}", err=True)
    elif root is None:
        described = [_describe(get_source(name))]
    else:
        _show_tracks(name, root, as_json)
        return
    if as_json:
        print_json(described)
        return
    for source in described:
        click.echo("\n".join(f"{key:9}{value}" for key, value in source.items()) + "\n")


def _describe(source) -> dict[str, str]:
    return {key: getattr(source, key) for key in ("name", "title", "layout", "licence", "url", "citation")}


def _show_tracks(name: str, root: Path, as_json: bool) -> None:
    from splitstrument.datasets.classes import read_instrument_map
    from splitstrument.datasets.organise import classes_of_stems
    from splitstrument.datasets.sources import get_source

    tracks = get_source(name).tracks(root)
    if as_json:
        print_json([vars(track) | {"stems": [vars(stem) for stem in track.stems]} for track in tracks])
        return
    print_table(
        ("track", "stems", "artist", "genre", "problems"),
        [(track.name, len(track.stems), track.artist, track.genre, "; ".join(track.problems)) for track in tracks],
    )
    instrument_map = read_instrument_map()
    having = Counter(
        stem_class
        for track in tracks
        for stem_class in {found for found, _ in classes_of_stems(track.stems, instrument_map, 0.5)}
    )
    click.echo("Tracks with " + ", ".join(f"{key}: {n}" for key, n in having.most_common()) + ".")
    names = Counter(instrument for track in tracks for stem in track.stems for instrument in stem.instrument)
    click.echo(f"{len(tracks)} tracks, {sum(not track.problems for track in tracks)} of them whole.")
    if names:
        click.echo("Most frequent instruments: " + ", ".join(f"{key} {n}" for key, n in names.most_common(8)) + ".")
