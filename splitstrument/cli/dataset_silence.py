"""`splitstrument dataset silence`: cut silences of the instrument out of pairs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from splitstrument.cli.common import (
    PicturePath,
    dry_run_option,
    jobs_option,
    json_option,
    options,
    print_json,
    quiet_option,
    scheduler_option,
)
from splitstrument.files import real_path


@click.command()
@click.argument("pairs", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="Folder of the new pairs.")
@click.option("--below-audible", default=0.7, show_default=True, help="Cut only tracks with a smaller audible share.")
@click.option("--to", default=0.7, show_default=True, help="Audible share to reach.")
@click.option("--discard-below", type=float, help="Drop tracks that stay under this audible share.")
@click.option("--threshold", "threshold_dbfs", default=-50.0, show_default=True, help="Silence is below this, in dBFS.")
@click.option("--min-silence", "min_silence_s", default=1.0, show_default=True, help="Shorter gaps stay, in seconds.")
@click.option("--order", type=click.Choice(["longest", "ends_first"]), default="longest", show_default=True)
@click.option("--last", type=click.Choice(["whole", "shortened"]), default="whole", show_default=True)
@click.option("--plot", type=PicturePath(), help="Write the histograms as .png, .svg or .pdf (extra: train).")
@options(jobs_option, scheduler_option, dry_run_option, quiet_option, json_option)
def silence(
    pairs: Path,
    output: Path,
    plot: Path | None,
    jobs: int,
    scheduler: str | None,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
    **chosen: object,
) -> None:
    """Cut silences of the instrument out of PAIRS, the same in both files, until enough is audible.

    Prints the ten-bucket histogram of silent shares before and after.

    \b
    splitstrument dataset silence data/recorded_guitar --to 0.7 --discard-below 0.5 -o data/guitar_less_silence
    splitstrument dataset silence data/recorded_guitar --dry-run -o unused
    """
    from splitstrument.datasets.silence import SilenceSettings
    from splitstrument.datasets.silence_cut import cut_track, pairs_by_track, report_track
    from splitstrument.executor import run_batch, track_executor
    from splitstrument.settings import validate

    settings = validate(chosen, SilenceSettings, "The options")
    if real_path(output) == real_path(pairs):
        raise click.UsageError("Write to another folder than the one that is read.")
    tracks = list(pairs_by_track(pairs).values())
    work = partial(report_track if dry_run else partial(cut_track, root=pairs, output=output), settings=settings)
    with track_executor(jobs, scheduler) as executor:
        batch = run_batch(work, tracks, executor, "silence", lambda found: found[0].name, quiet)
    _show(batch, plot, as_json)


def _show(batch, plot: Path | None, as_json: bool) -> None:
    from splitstrument.datasets.silence_cut import histogram, histogram_text
    from splitstrument.errors import DatasetError

    reports = list(batch.results.values())
    before = histogram([report.share_before for report in reports])
    after = histogram([report.share_after for report in reports if not report.dropped])
    if plot:
        from splitstrument.curation.statistics import plot_histograms

        plot_histograms(before, after, plot)
    if as_json:
        tracks = {name: vars(report) for name, report in batch.results.items()}
        print_json({"before": before, "after": after, "tracks": tracks, "failed": batch.failures})
    else:
        click.echo(histogram_text(before, after))
        dropped = [report.track for report in reports if report.dropped]
        removed = sum(report.removed_s for report in reports if not report.dropped)
        click.echo(f"{len(reports)} tracks, {removed:.0f} s cut, {len(dropped)} dropped. {', '.join(dropped)}".rstrip())
    if batch.failures:
        raise DatasetError("; ".join(f"{name}: {error}" for name, error in batch.failures.items()))
