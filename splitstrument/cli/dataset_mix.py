"""`splitstrument dataset mix`: organised stems to instrument/rest pairs."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from splitstrument.cli.common import (
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
    from splitstrument.datasets.mix import MixSettings


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of pairs.")
@click.option("--target", required=True, help="Class to extract, such as guitar or piano.")
@click.option("--also", multiple=True, help="Class merged into the target; may be given several times.")
@click.option(
    "--rate", "sample_rates_hz", type=int, multiple=True, help="Sample rate in Hz, several times.  [44100 and 22050]"
)
@click.option("--channels", type=click.Choice(["mono", "stereo", "keep"]), default="stereo", show_default=True)
@click.option("--format", type=click.Choice(["flac", "wav"]), default="flac", show_default=True)
@click.option("--subtype", type=click.Choice(["PCM_16", "PCM_24", "FLOAT"]), help="[PCM_24]")
@click.option("--unchecked", is_flag=True, help="Take tracks that nobody marked as checked, too.")
@click.option("--length", type=click.Choice(["pad", "cut"]), default="pad", show_default=True)
@click.option("--silent-rest", is_flag=True, help="Make pairs of tracks that hold nothing but the target.")
@options(jobs_option, scheduler_option, dry_run_option, quiet_option, json_option)
def mix(
    dataset: Path,
    output: Path,
    target: str,
    unchecked: bool,
    silent_rest: bool,
    jobs: int,
    scheduler: str | None,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **given: Any,
) -> None:
    """Mix the stems of an organised DATASET to instrument/rest pairs at one or more sample rates.

    Marks are respected: a track needs `checked` and no defect (see --unchecked). Where a pair would clip, one gain is
    applied to both of its files.

    \b
    splitstrument dataset mix data/mine --target guitar -o data/mine_pairs
    splitstrument dataset mix data/mine --target piano --rate 22050 --channels mono --unchecked -o data/piano
    """
    from splitstrument.datasets.classes import check_target
    from splitstrument.datasets.index import stems_of, track_folders
    from splitstrument.datasets.mix import mix_track
    from splitstrument.executor import run_batch, track_executor
    from splitstrument.files import claimed

    settings = _settings(target, not unchecked, "silence" if silent_rest else "skip", given)
    folders = track_folders(dataset)
    check_target(target, [name for folder in folders for name in stems_of(folder)])
    if dry_run:
        _preview(folders, settings, as_json)
        return
    with claimed(output), track_executor(jobs, scheduler) as executor:
        work = partial(mix_track, output=output, settings=settings)
        batch = run_batch(work, folders, executor, "mix", lambda folder: folder.name, quiet)
    _show(batch, as_json)


def _settings(target: str, require_checked: bool, empty_rest: str, given: dict[str, Any]) -> MixSettings:
    """Settings from the flags; what is not given stays as the settings have it, but WAV files are of floats."""
    from splitstrument.datasets.mix import MixSettings
    from splitstrument.settings import validate

    chosen = {"target": target, "require_checked": require_checked, "empty_rest": empty_rest}
    chosen |= {"subtype": "FLOAT"} if given["format"] == "wav" else {}
    chosen |= {key: value for key, value in given.items() if value}
    return validate(chosen, MixSettings, "The options")


def _preview(folders: list[Path], settings: MixSettings, as_json: bool) -> None:
    from splitstrument.datasets.mix import unusable

    rows = [(folder.name, unusable(folder, settings) or "would be mixed") for folder in folders]
    if as_json:
        print_json(dict(rows))
    else:
        print_table(("track", "what"), rows)


def _show(batch, as_json: bool) -> None:
    from splitstrument.errors import DatasetError

    mixed = [report for report in batch.results.values() if not report.skipped]
    if as_json:
        print_json({"tracks": {name: vars(report) for name, report in batch.results.items()}, "failed": batch.failures})
    else:
        rows = [(r.track, r.duration_s, r.gain_db, r.length_difference_s, r.skipped) for r in batch.results.values()]
        print_table(("track", "seconds", "gain dB", "length difference s", "skipped"), rows)
        click.echo(f"{len(mixed)} pairs of {sum(report.duration_s for report in mixed) / 3600:.2f} hours.")
    if batch.failures:
        raise DatasetError("; ".join(f"{name}: {error}" for name, error in batch.failures.items()))
    if not mixed:
        raise DatasetError("No track could be mixed: the table says why (--unchecked takes tracks without marks).")
