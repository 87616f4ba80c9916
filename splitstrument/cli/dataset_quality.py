"""`splitstrument dataset check` and `listen`: find suspicious stems, hear them, mark them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

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

dataset_argument = click.argument("dataset", type=click.Path(path_type=Path))


@click.command()
@dataset_argument
@click.option("--target", metavar="CLASS", help="Check what matters for extracting this instrument.")
@click.option("--settings", "settings_file", type=click.Path(path_type=Path), help="YAML with other thresholds.")
@click.option("--top", type=click.IntRange(min=1), default=30, show_default=True, help="Rows to print.")
@options(jobs_option, scheduler_option, json_option, quiet_option, dry_run_option)
def check(
    dataset: Path,
    target: str | None,
    settings_file: Path | None,
    top: int,
    jobs: int,
    scheduler: str | None,
    as_json: bool,
    quiet: bool,
    dry_run: bool,
) -> None:
    """Find suspicious stems in an organised DATASET and rank what to listen to first.

    Writes DATASET/checks.yaml; a mark that a human has set is never touched. Run again after a change, only tracks that
    have changed are read.

    \b
    splitstrument dataset check data/organised --target guitar --jobs 2
    splitstrument dataset check data/organised --json
    splitstrument dataset listen data/organised --target guitar
    """
    from splitstrument.curation.checks.findings import ranked_rows, write_checks
    from splitstrument.curation.checks.run import check_dataset
    from splitstrument.curation.checks.settings import CheckSettings
    from splitstrument.datasets.index import track_folders
    from splitstrument.datasets.marks import check_class_here
    from splitstrument.executor import track_executor
    from splitstrument.settings import load_settings

    settings = load_settings(settings_file, CheckSettings).settings if settings_file else CheckSettings()
    if target:
        check_class_here(dataset, target)
    if dry_run:
        click.echo(f"would check {len(track_folders(dataset))} tracks and write {dataset / 'checks.yaml'}")
        return
    with track_executor(jobs, scheduler) as executor:
        result = check_dataset(dataset, executor, target, settings, quiet)
    path = write_checks(dataset, result.checks)
    if as_json:
        print_json({**result.checks.model_dump(mode="json"), "failures": result.failures})
    else:
        _print_ranking(ranked_rows(result.checks), len(result.checks.tracks), top)
        click.echo(f"written to {path}")
    _exit_with(result.failures)


def _print_ranking(rows: list[dict[str, Any]], n_tracks: int, top: int) -> None:
    absent = [row for row in rows if all(finding.is_absence for finding in row["findings"])]
    heard = [row for row in rows if row not in absent]
    table = [
        [f"{row['suspicion']:.2f}", row["track"], row["stem_class"], finding.check, _where(finding), finding.message]
        for row in heard[:top]
        for finding in row["findings"]
    ]
    if table:
        print_table(["suspicion", "track", "class", "check", "seconds", "why"], table, "Listen to these first")
    suspicious = len({row["track"] for row in heard})
    click.echo(
        f"{suspicious} of {n_tracks} tracks are suspicious" + (f" ({top} rows shown)" if len(heard) > top else "")
    )
    if absent:
        click.echo(f"{len({row['track'] for row in absent})} tracks have no stem of a class: see checks.yaml")


def _where(finding: Any) -> str:
    return " ".join(f"{start:.0f}-{end:.0f}" for start, end in finding.seconds[:3])


def _exit_with(failures: dict[str, str]) -> None:
    for name, reason in failures.items():
        click.echo(f"splitstrument: {name}: {reason}", err=True)
    if failures:
        raise SystemExit(1)


@click.command()
@dataset_argument
@click.option("--target", metavar="CLASS", help="Only stems of this class.")
@click.option("--all", "everything", is_flag=True, help="Also stems that are checked already.")
@click.option("--suspicious", is_flag=True, help="Only stems that the checks suspect.")
@click.option("--player", metavar="COMMAND", help="Program that plays the WAV file appended to it.")
@click.option("--web", is_flag=True, help="Listen in the browser instead of the terminal.")
@click.option("--port", type=click.IntRange(0, 65535), default=8090, show_default=True, help="With --web.")
@click.option("--no-browser", is_flag=True, help="With --web: print the address, open nothing.")
@json_option
def listen(
    dataset: Path,
    target: str | None,
    everything: bool,
    suspicious: bool,
    player: str | None,
    web: bool,
    port: int,
    no_browser: bool,
    as_json: bool,
) -> None:
    """Listen to the stems of an organised DATASET and mark their quality, the most suspicious first.

    Each stem plays its suspicious seconds and then five splits; one key per mark. Marks are empty files beside the
    class folders, as in the thesis, and are on disk at once. --json only prints the order.

    \b
    splitstrument dataset listen data/organised --target guitar
    splitstrument dataset listen data/organised --target guitar --web
    splitstrument dataset listen data/organised --player "mpv --no-video"
    """
    from splitstrument.curation.listening import listening_queue

    queue = listening_queue(dataset, target)
    items = [item for item in queue if (everything or not item.is_done) and (item.suspicion or not suspicious)]
    if as_json:
        print_json([_as_dict(item) for item in items])
    elif web:
        from demonstrator.quality import serve

        serve(dataset, target, port, open_browser=not no_browser)
    elif not items:
        click.echo("Everything is checked; --all goes through it again.")
    else:
        from splitstrument.cli.terminal_listening import listen_in_terminal, open_player

        with open_player(player) as opened:
            listen_in_terminal(items, opened)


def _as_dict(item: Any) -> dict[str, Any]:
    return {
        "track": item.track,
        "stem_class": item.stem_class,
        "suspicion": item.suspicion,
        "marks": sorted(item.marks),
        "findings": [finding.model_dump(mode="json") for finding in item.findings],
    }
