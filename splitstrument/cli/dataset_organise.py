"""`splitstrument dataset organise` and `names`: raw stems to classes."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import click

from splitstrument.cli.common import (
    dry_run_option,
    jobs_option,
    json_option,
    print_json,
    print_table,
    quiet_option,
    scheduler_option,
)


@click.command()
@click.argument("source")
@click.argument("root", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of organised tracks.")
@click.option("--map", "map_file", type=click.Path(path_type=Path), help="YAML of instrument names and classes.")
@click.option("--copy", is_flag=True, help="Copy the files; without this they are linked.")
@click.option("--by-content", is_flag=True, help="Listen to stems whose names say nothing, and propose classes.")
@click.option("--min-confidence", default=0.5, show_default=True, help="Of classes proposed by file name.")
@jobs_option
@scheduler_option
@dry_run_option
@quiet_option
@json_option
def organise(
    source: str,
    root: Path,
    output: Path,
    map_file: Path | None,
    copy: bool,
    by_content: bool,
    min_confidence: float,
    jobs: int,
    scheduler: str | None,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Lay the stems of a raw dataset out as <track>/<class>/<stem>, with a track index.

    Stems whose names say nothing are set aside as excluded; --by-content says what they sound like. It moves none of
    them: that is for somebody who has listened.

    SOURCE is a name of `splitstrument dataset sources`, ROOT the dataset's folder. Tracks that are incomplete or
    cannot be read are left out and named, and the exit status is 1.

    \b
    splitstrument dataset organise rockband ~/songs -o data/mine
    splitstrument dataset organise slakh /data/slakh2100_flac_redux -o data/slakh --jobs 0
    """
    from splitstrument.datasets.organise import OrganiseSettings
    from splitstrument.datasets.organise import organise as run
    from splitstrument.executor import track_executor
    from splitstrument.settings import validate

    options = {"source": source, "map": map_file, "place": "copy" if copy else "link", "min_confidence": min_confidence}
    settings = validate(options, OrganiseSettings, "The options")
    if dry_run:
        _preview(root, settings, as_json)
        return
    with track_executor(jobs, scheduler) as executor:
        report = run(root, output, settings, executor, quiet)
    sounds: dict[str, str] = {}
    if by_content:
        from splitstrument.datasets.by_content import sounds_of_excluded

        sounds = sounds_of_excluded(report.index, output)
    _show(report, output, as_json, sounds)


_LISTS = ("problems", "unknown", "proposed")


def _show(report, output: Path, as_json: bool, by_content: dict[str, str]) -> None:
    from splitstrument.errors import DatasetError

    if as_json:
        lists = {key: vars(report)[key] for key in _LISTS} | ({"by_content": by_content} if by_content else {})
        print_json({"tracks": len(report.index.tracks), **lists})
    else:
        click.echo(f"{output} now holds {len(report.index.tracks)} tracks.")
        for title, items in (("left out", report.problems), ("unknown, set aside as excluded", report.unknown)):
            for name, what in items.items():
                click.echo(f"{title}: {name} ({what})")
        for name, sounds in by_content.items():
            click.echo(f"{name} {sounds}")
    if report.problems:
        name, reason = next(iter(report.problems.items()))
        raise DatasetError(
            f"Tracks left out: {len(report.problems)}, the first of them {name} ({reason}): get their files again and "
            "repeat this, or remove them from the raw dataset."
        )


def _preview(root: Path, settings, as_json: bool) -> None:
    """Say which class each stem would get."""
    from splitstrument.datasets.classes import read_instrument_map
    from splitstrument.datasets.organise import classes_of_stems
    from splitstrument.datasets.sources import get_source

    instrument_map = read_instrument_map(settings.map)
    rows = []
    for track in get_source(settings.source).tracks(root):
        classes = classes_of_stems(track.stems, instrument_map, settings.min_confidence)
        for stem, (stem_class, confidence) in zip(track.stems, classes, strict=True):
            rows.append((track.name, stem.path.name, ", ".join(stem.instrument), stem_class, confidence))
    header = ("track", "stem", "instrument", "class", "confidence")
    if as_json:
        print_json([dict(zip(header, row, strict=True)) for row in rows])
    else:
        print_table(header, rows)
        counts = Counter(row[3] for row in rows)
        click.echo("Nothing was written. " + ", ".join(f"{name}: {count}" for name, count in counts.most_common()))


@click.command()
@click.argument("stems", nargs=-1, required=True)
@json_option
def names(stems: tuple[str, ...], as_json: bool) -> None:
    """Propose a class for each of STEMS (file names, or folders of audio) by its name, with a confidence.

    \b
    splitstrument dataset names "07_AcGtr2.wav" "05 - Rhodes.flac"
    splitstrument dataset names ~/multitracks/song1
    """
    from splitstrument.audio import is_audio_name
    from splitstrument.datasets.names import classify

    files = []
    for stem in map(Path, stems):
        files += sorted(path.name for path in stem.rglob("*") if is_audio_name(path)) if stem.is_dir() else [stem.name]
    guesses = classify(files)
    if as_json:
        print_json([vars(guess) for guess in guesses])
    else:
        print_table(("name", "class", "confidence"), [(g.name, g.stem_class, g.confidence) for g in guesses])
