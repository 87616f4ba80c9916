"""`splitstrument dataset split` and `stats`: choose the held-out tracks, describe a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splitstrument.cli.common import (
    PicturePath,
    dry_run_option,
    jobs_option,
    json_option,
    options,
    print_json,
    print_table,
    quiet_option,
    scheduler_option,
)

if TYPE_CHECKING:
    from splitstrument.curation.split import SplitOptions

dataset_argument = click.argument("dataset", type=click.Path(path_type=Path))


@click.command()
@dataset_argument
@click.option("--evaluation", type=click.IntRange(min=0), default=0, help="Number of evaluation tracks in all.")
@click.option("--validation", type=click.IntRange(min=0), default=0, help="Number of named validation tracks in all.")
@click.option("--pick", multiple=True, metavar="TRACK", help="An evaluation track chosen by hand (repeat).")
@click.option("--pick-validation", multiple=True, metavar="TRACK", help="A validation track chosen by hand (repeat).")
@click.option("--genres", type=click.Path(path_type=Path), help="YAML of genres by track, or a folder of HTML tables.")
@click.option("--level-of", metavar="PART", help="Spread over the level of this class, or of 'instrument' for pairs.")
@click.option("--ignore-artists", is_flag=True, help="Let tracks of one artist come to different sides.")
@click.option("--seed", type=int, default=0, show_default=True)
@options(jobs_option, scheduler_option, json_option, quiet_option, dry_run_option)
def split(
    dataset: Path,
    genres: Path | None,
    level_of: str | None,
    jobs: int,
    scheduler: str | None,
    as_json: bool,
    quiet: bool,
    dry_run: bool,
    **asked: Any,
) -> None:
    """Choose the tracks of DATASET (organised or pairs) to hold out.

    Tracks of one song, artist or recording stay together. Writes DATASET/evaluation.yaml, validation.yaml and
    split.yaml (the record of how they were chosen).

    \b
    splitstrument dataset split data/guitar_pairs --evaluation 20 --level-of instrument
    splitstrument dataset split data/mine --pick "Song A" --pick "Song B"
    splitstrument dataset split data/mine --evaluation 10 --genres genre_tables --dry-run
    """
    from splitstrument.curation.split import measured, propose, read_facts, read_genres, write_split
    from splitstrument.executor import track_executor

    chosen = _options(**asked)
    facts = read_facts(dataset, read_genres(genres) if genres else None)
    if level_of:
        with track_executor(jobs, scheduler) as executor:
            facts = measured(facts, dataset, level_of, executor, quiet)
    proposal = propose(facts, chosen)
    written = [] if dry_run else write_split(dataset, proposal, chosen)
    if as_json:
        print_json({**proposal.as_dict(), "written": [str(path) for path in written]})
        return
    _print_split(proposal)
    for path in written:
        click.echo(f"written: {path}")


def _options(
    evaluation: int,
    validation: int,
    pick: tuple[str, ...],
    pick_validation: tuple[str, ...],
    ignore_artists: bool,
    seed: int,
) -> SplitOptions:
    """Options from the flags; tracks chosen by hand count among the numbers."""
    from splitstrument.curation.split import SplitOptions

    if not (evaluation or validation or pick or pick_validation):
        raise click.UsageError("Say how many tracks to hold out (--evaluation, --validation) or which (--pick).")
    pick, pick_validation = tuple(dict.fromkeys(pick)), tuple(dict.fromkeys(pick_validation))
    return SplitOptions(
        evaluation=max(evaluation, len(pick)),
        validation=max(validation, len(pick_validation)),
        picked_evaluation=pick,
        picked_validation=pick_validation,
        by_artist=not ignore_artists,
        seed=seed,
    )


def _print_split(proposal: Any) -> None:
    strata = sorted({stratum for counts in proposal.spread.values() for stratum in counts})
    sides = ("training", "validation", "evaluation")
    rows = [[stratum, *(proposal.spread[side].get(stratum, 0) for side in sides)] for stratum in strata]
    print_table(["genre and level", *sides], [*rows, ["all", *(len(getattr(proposal, side)) for side in sides)]])
    for side in ("evaluation", "validation"):
        for name in getattr(proposal, side):
            click.echo(f"{side}: {name}")
    click.echo(f"{len(proposal.groups)} groups of related tracks kept together")


@click.command()
@dataset_argument
@click.option("--rate", type=click.IntRange(min=1), help="Which tracks_<rate>hz of pairs to measure.")
@click.option("--plot", type=PicturePath(), help="Also draw hours, levels and silence (.png, .svg, .pdf).")
@options(jobs_option, scheduler_option, json_option, quiet_option)
def stats(
    dataset: Path, rate: int | None, plot: Path | None, jobs: int, scheduler: str | None, as_json: bool, quiet: bool
) -> None:
    """Hours, silence, levels and rates of DATASET at any stage: raw, organised or pairs.

    \b
    splitstrument dataset stats data/organised --jobs 2
    splitstrument dataset stats data/guitar_pairs --plot guitar.png
    splitstrument dataset stats RAW --json
    """
    from splitstrument.curation.statistics import dataset_statistics, plot_statistics
    from splitstrument.executor import track_executor

    with track_executor(jobs, scheduler) as executor:
        result = dataset_statistics(dataset, executor, rate, quiet)
    if as_json:
        print_json(result.as_dict())
    else:
        _print_statistics(result)
    if plot:
        plot_statistics(result, plot)
        click.echo(f"written: {plot}", err=as_json)
    for name, reason in result.failures.items():
        # most reasons begin with the file, which is the name here
        click.echo(f"splitstrument: {reason if reason.startswith(name) else f'{name}: {reason}'}", err=True)
    if result.failures:
        raise SystemExit(1)


def _print_statistics(result: Any) -> None:
    header = [
        "part",
        "tracks",
        "files",
        "hours",
        "audible h",
        "silent %",
        "level dBFS 5 / 50 / 95 %",
        "rates",
        "channels",
    ]
    rows = []
    for row in result.rows():
        level = row["level_dbfs"]
        rows.append(
            [
                row["part"],
                row["n_tracks"],
                row["n_files"],
                row["hours"],
                row["audible_hours"],
                row["silent_percent"],
                " / ".join(f"{value:.0f}" for value in level.values()) if level else "silent",
                ", ".join(f"{rate} ({count})" for rate, count in row["sample_rates_hz"].items()),
                ", ".join(f"{count} ({files})" for count, files in row["n_channels"].items()),
            ]
        )
    print_table(header, rows, f"{result.folder}: {result.n_tracks} tracks, {result.stage}")
