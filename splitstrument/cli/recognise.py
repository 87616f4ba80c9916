"""``splitstrument recognise`` and ``splitstrument train-recogniser``."""

from __future__ import annotations

from pathlib import Path

import click

from splitstrument.cli.common import json_option, print_json, print_table, quiet_option
from splitstrument.errors import SplitstrumentError
from splitstrument.progress import progress
from splitstrument.recognition.classes import all_classes
from splitstrument.recognition.timeline import Timeline
from splitstrument.separation.inputs import find_songs


@click.command(
    epilog="\b\nExamples:\n"
    "  splitstrument recognise song.mp3\n"
    "  splitstrument recognise album/ --table\n"
    "  splitstrument recognise song.wav --json --every 0.5 > song.json"
)
@click.argument("songs", nargs=-1, required=True)
@click.option("--every", default=1.0, show_default=True, help="Distance of the probabilities in seconds.")
@click.option("--table", is_flag=True, help="Print the probability of every instrument.")
@click.option("-m", "--model", help="Folder of a recogniser; default the one that ships.")
@json_option
@quiet_option
@click.pass_context
def recognise(
    ctx: click.Context, songs: tuple[str, ...], every: float, table: bool, model: str | None, as_json: bool, quiet: bool
) -> None:
    """Tell which instruments play in SONGS (audio files, folders, patterns), and when.

    Probabilities are of guitar, piano, electric piano, organ, bass, drums, voice, strings, brass, reeds and flutes, and
    something else, and of three kinds of guitar; --json has all of them over time. It is wrong at times: how often is
    in docs/recognition.md. One file that cannot be read does not stop the others; the status is then 1.
    """
    from splitstrument.recognition.listen import recognise_file

    inputs = find_songs(songs)
    found: dict[str, Timeline] = {}
    failed = {str(path): reason for path, reason in inputs.lost.items()}
    for path in inputs.songs:
        try:
            with progress(path.name, None, "s", quiet or as_json) as advance:
                found[str(path)] = recognise_file(path, every, model, advance)
        except SplitstrumentError as error:
            failed[str(path)] = str(error)
            continue
        if not as_json:
            click.echo(f"{path}: {found[str(path)].sentence()}")
    if as_json:
        print_json({"songs": {name: timeline.as_dict() for name, timeline in found.items()}, "failed": failed})
    elif table:
        _print_probabilities(found)
    for message in failed.values():
        click.echo(f"splitstrument: {message}", err=True)
    if failed:
        ctx.exit(1)


def _print_probabilities(found: dict[str, Timeline]) -> None:
    for name, timeline in found.items():
        rows = [
            (one.title, timeline.song_probability(key), timeline.thresholds[key], timeline.when(key))
            for key, one in all_classes().items()
        ]
        print_table(("instrument", "probability", "plays from", "when"), rows, name)


@click.command(
    "train-recogniser", epilog="Example: splitstrument train-recogniser trainings/recognise_irmas.yaml -o runs/irmas"
)
@click.argument("recipe")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the new recogniser.")
def train_recogniser(recipe: str, output: Path) -> None:
    """Train a recogniser by RECIPE, such as trainings/recognise_irmas.yaml, and score it (extra: train).

    The folder is what `splitstrument recognise --model` takes; scores.md in it has the tables.
    """
    from splitstrument.recognition.learning.recipe import read_recipe
    from splitstrument.recognition.learning.score import write_scores
    from splitstrument.recognition.learning.train import train

    settings = read_recipe(recipe)
    train(settings, output, click.echo)
    write_scores(settings, output, click.echo)
