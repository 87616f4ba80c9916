"""`splitstrument score`: any tool's estimates, by the same ruler."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from splitstrument.cli.common import jobs_option, json_option, options, print_json, quiet_option, scheduler_option
from splitstrument.errors import SplitstrumentError
from splitstrument.files import real_path, safe_name

if TYPE_CHECKING:
    from splitstrument.evaluation.schema import Record


def _known(ctx: click.Context, param: click.Parameter, names: tuple[str, ...]) -> tuple[str, ...]:
    """Refuse unknown trackers, and those that are not installed, before any work."""
    from splitstrument.trackers import check_installed, check_tracker

    try:
        known = tuple(map(check_tracker, names))
    except ValueError as error:
        raise click.BadParameter(f"{error}.") from None
    return tuple(map(check_installed, known))


trackers_option = click.option(
    "--log-to", "trackers", multiple=True, metavar="TRACKER", callback=_known, help="Also tell tensorboard or mlflow."
)
measuring = options(
    click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder for the results."),
    click.option("--eq-from", type=click.Path(path_type=Path), help="Training pairs to fit the fixed EQ on."),
    click.option("--n-fft", type=click.IntRange(16, 65536), help="STFT of oracle masks and EQ."),
    click.option("--no-v4", is_flag=True, help="Leave BSS Eval v4 out: half the time."),
    click.option("--no-baselines", is_flag=True, help="Score the estimates alone (not for publication)."),
    trackers_option,
    jobs_option,
    scheduler_option,
    json_option,
    quiet_option,
)


@click.command()
@click.argument("references", type=click.Path(path_type=Path))
@click.argument("estimates", type=click.Path(path_type=Path))
@click.option("--name", help="What to call the estimates in tables.")
@click.option("--instrument", metavar="NAME", default="instrument", help="What the tool calls the instrument's files.")
@click.option("--rest", metavar="NAME", default="rest", help="What it calls those of the rest.")
@measuring
def score(
    references: Path, estimates: Path, name: str | None, instrument: str, rest: str, output: Path | None, **flags
) -> None:
    """Score ESTIMATES against REFERENCES, whoever made them.

    Both are folders with <track>/instrument*.wav and <track>/rest*.wav; a track is known by the path of its folder.
    Where estimates lie below other folders (htdemucs/<track>) the end of the path counts; what could be either is
    refused. Where one estimate is missing it is taken to be mixture minus the other. Estimates that are missing,
    swapped, shifted, clipped, silent or of another length or rate are named, and the others scored; the exit status is
    1 if any track could not be scored.

    REFERENCES may also hold stems (<track>/guitar.wav, piano.wav, ..., or a stem set): each one that ESTIMATES have,
    too, is scored against all others, in a folder of its own.

    \b
    splitstrument score data/frets_on_fire stems
    splitstrument score references spleeter_output --instrument piano --rest accompaniment
    splitstrument score references demucs_output --instrument guitar --rest no_guitar --name htdemucs_6s
    """
    from splitstrument.evaluation.run import describe_data, score_files, score_stems
    from splitstrument.evaluation.stems import find_stem_tracks

    if instrument.lower() == rest.lower():
        raise click.UsageError(f"--instrument and --rest are both {rest!r}: they must differ.")
    names = {"instrument": Path(instrument).stem, "rest": Path(rest).stem}
    place = Path("results") / "scores" / safe_name(name or real_path(estimates).name)
    folder = output or place / describe_data(references)["name"]
    asked = (references, estimates, folder, settings_of(flags), flags["eq_from"], workers_of(flags), name)
    if find_stem_tracks(references):
        records = {folder / stem: record for stem, record in score_stems(*asked).items()}
    else:
        records = {folder: score_files(*asked, names)}
    track(records, flags["trackers"])
    show_all(records, flags["as_json"])


def track(records: Mapping[Path, Record], trackers: Sequence[str]) -> None:
    """Tell the trackers of the flags; one that fails is named, and the results stand."""
    from splitstrument.evaluation.tracking import track_evaluation

    def say(problem: object) -> None:
        click.echo(f"splitstrument: {problem}", err=True)

    for name, (folder, record) in itertools.product(trackers, records.items()):
        try:
            track_evaluation(record, folder, [name], say)
        except SplitstrumentError as error:
            say(error)


def settings_of(flags: dict):
    """Evaluation settings from the flags of `measuring`."""
    from splitstrument.evaluation.run import EvaluationSettings

    without = {"baselines": (), "ceilings": ()} if flags["no_baselines"] else {}
    return EvaluationSettings(
        n_fft=flags["n_fft"],
        framewise=not flags["no_v4"],
        keep_estimates=flags.get("keep_estimates", False),
        **without,
    )


def workers_of(flags: dict):
    """Return the workers that the flags ask for."""
    from splitstrument.evaluation.run import Workers

    return Workers(flags["jobs"], flags["scheduler"], flags["quiet"] or flags["as_json"])


def show_all(records: Mapping[Path, Record], as_json: bool) -> None:
    """Print the records by their folders, as tables or as one JSON value; exit with 1 if a track was not scored."""
    from splitstrument.evaluation.report.text import text_report
    from splitstrument.evaluation.schema import ESTIMATE

    if as_json:
        print_json(list(records.values()) if len(records) > 1 else next(iter(records.values())))
    unscored: dict[str, None] = {}
    for folder, record in records.items():
        if not as_json:
            click.echo(text_report(record))
            click.echo(f"Written to {folder}/evaluation.yaml, evaluation.csv and evaluation.txt.")
        without = [track["track"] for track in record["tracks"] if ESTIMATE not in track["scores"]]
        unscored |= dict.fromkeys([*record["failed"], *without])
    if unscored:
        click.echo(f"splitstrument: not scored: {', '.join(unscored)}; the reasons stand above.", err=True)
        raise click.exceptions.Exit(1)
