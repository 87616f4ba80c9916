"""``splitstrument train``: train a network by a recipe."""

from __future__ import annotations

from pathlib import Path

import click

from splitstrument.cli.common import json_option, print_json, print_table, quiet_option
from splitstrument.cli.stand_in import as_asked
from splitstrument.errors import SplitstrumentError, TrainingError
from splitstrument.files import real_path
from splitstrument.model_folder import read_model_folder
from splitstrument.training.backend import choose_backend, silent_stderr
from splitstrument.training.launch import loopback_members, train_together
from splitstrument.training.recipes import load_recipe
from splitstrument.training.run_folder import Result
from splitstrument.training.settings import TrainingSettings
from splitstrument.training.team import Member

EPILOG = """\b
Examples:
  splitstrument train trainings/quickstart.yaml
  splitstrument train trainings/quickstart.yaml -o runs/wide --set model.network.width=32
  splitstrument train --resume -o runs/quickstart
  splitstrument train trainings/table_06.yaml --dataset recorded_guitar=/data/guitar
  splitstrument train trainings/table_06.yaml --check
  splitstrument train trainings/quickstart.yaml --find-rate
  splitstrument train trainings/table_06.yaml --stand-in data/corpus_development --epochs 5
  KERAS_BACKEND=jax splitstrument train trainings/joint_wide.yaml   (on a graphics card)
  splitstrument train guitar_pure.jsonc -o runs/imported
  splitstrument train trainings/table_06.yaml --processes 2
  splitstrument train trainings/table_06.yaml --cluster 10.0.0.1:21000,10.0.0.2:21000 --worker 0 -o /shared/table_06
"""


@click.command(epilog=EPILOG)
@click.argument("recipe", required=False, type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Run folder; runs/<name> unless given.")
@click.option("--resume", is_flag=True, help="Go on with the training in the run folder.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Change a setting, as in model.n_frames=128.")
@click.option("--dataset", "places", multiple=True, metavar="NAME=PATH", help="Say where a dataset of the recipe lies.")
@click.option("--epochs", type=click.IntRange(min=1), help="Short for --set epochs=N.")
@click.option(
    "--stand-in",
    type=click.Path(path_type=Path),
    metavar="CORPUS",
    help="Train on rendered stand-ins made from CORPUS/guitar and CORPUS/piano, with a small network.",
)
@click.option(
    "--scale",
    multiple=True,
    help="Of a stand-in: a factor on its filters (1/12) or a file (trainings/stand_ins.yaml); KEY=VALUE changes it.",
)
@click.option(
    "--processes", metavar="N", type=click.IntRange(1, 64), default=1, help="Share every batch among N processes here."
)
@click.option("--cluster", metavar="HOST:PORT,...", help="Share it among machines: the addresses of all, in order.")
@click.option(
    "--worker", metavar="N", type=click.IntRange(min=0), help="With --cluster: which of them this is; 0 is the chief."
)
@click.option("--check", is_flag=True, help="Only look at the data and try some steps for a minute; keep nothing.")
@click.option("--find-rate", is_flag=True, help="Only try learning rates from 1e-6 to 1; keep nothing.")
@click.option("--no-export", is_flag=True, help="Do not write model.onnx, which separation reads fastest.")
@quiet_option
@json_option
def train(
    recipe: Path | None,
    output: Path | None,
    resume: bool,
    sets: tuple[str, ...],
    places: tuple[str, ...],
    epochs: int | None,
    stand_in: Path | None,
    scale: tuple[str, ...],
    processes: int,
    cluster: str | None,
    worker: int | None,
    check: bool,
    find_rate: bool,
    no_export: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Train a network by RECIPE and keep weights, history and settings in a run folder.

    With --resume, the run folder's own settings count, and RECIPE may be left out; --set and --epochs change them.
    Several processes give the result of one, but for rounding; with --cluster, start the same command with its own
    --worker on every machine.
    """
    if recipe is None:
        recipe = resumed_recipe(output, resume)
    settings = load_recipe(recipe, sets, places, epochs).settings
    if resume and not stand_in and (own := own_settings(recipe, output or Path("runs") / settings.name)):
        resumed = load_recipe(own, sets, places, epochs).settings
        say_what_changed(settings, recipe.parent, resumed, own)
        recipe, settings = own, resumed
    settings = as_asked(settings, stand_in, scale)
    if stand_in:
        click.echo(settings.summary, err=True)
    folder = output or Path("runs") / settings.name
    if check:
        is_run = resume and real_path(recipe.parent) == real_path(folder)
        print_check(settings, recipe.parent, is_run, as_json)
        return
    if find_rate:
        print_rates(settings, recipe.parent, as_json)
        return
    members = members_of(processes, cluster, worker)
    result = run_training(settings, folder, members, resume, recipe.parent, quiet)
    if members and members[0].index > 0:
        return  # the chief, on another machine, has the rest to do
    if not no_export and choose_backend() == "tensorflow":
        export(folder)
    print_result(settings.name, result, as_json)


def run_training(
    settings: TrainingSettings, folder: Path, members: list[Member], resume: bool, recipe_folder: Path, quiet: bool
) -> Result:
    """Train in this process, or in several if there are `members`."""
    if members:
        return train_together(settings, folder, members, resume, recipe_folder, quiet)
    choose_backend(deterministic=settings.compute.deterministic)
    from splitstrument.training import run

    return run.train(settings, folder, resume, recipe_folder, quiet)


def print_result(name: str, result: Result, as_json: bool) -> None:
    """Print how a training ended."""
    if as_json:
        print_json(vars(result))
        return
    best = f", best validation loss {result.best_loss:.5g} in epoch {result.best_epoch}" if result.best_loss else ""
    done = f"{result.epochs} epochs, {result.steps} steps, loss {result.loss:.5g}"
    click.echo(f"{name}, {result.reason}: {done}{best}: {result.folder}")
    if result.verdict:
        click.echo(f"{name} is {result.verdict}" + (f": {result.hint}" if result.hint else "") + ".")


def own_settings(recipe: Path, folder: Path) -> Path | None:
    """The settings file of a run folder; None if there is none, or it is the recipe itself."""
    own = folder / "settings.yaml"
    return own if own.is_file() and real_path(own) != real_path(recipe) else None


def say_what_changed(recipe: TrainingSettings, recipe_folder: Path, own: TrainingSettings, file: Path) -> None:
    """Tell where a recipe, or the code beside it, is not, or no longer, what the run goes on with."""
    from splitstrument.training.checkpoint import changes, settings_fingerprint
    from splitstrument.training.own_code import code_of, digests

    found = changes(settings_fingerprint(recipe), settings_fingerprint(own))
    theirs, ours = digests(code_of(recipe_folder), recipe), digests(code_of(file.parent, is_run=True), own)
    found += [f"file of {name}" for name in theirs if theirs[name] != ours.get(name)]
    if found:
        click.echo(
            f"The run goes on with its own settings, {file}; the recipe has another {', '.join(found)}.", err=True
        )


def members_of(processes: int, cluster: str | None, worker: int | None) -> list[Member]:
    """The processes to start here, if several are to train together."""
    if cluster is None:
        if worker is not None:
            raise click.UsageError("--worker counts among the addresses of --cluster: give both.")
        return loopback_members(processes) if processes > 1 else []
    if worker is None or processes > 1:
        raise click.UsageError("--cluster needs --worker, and --processes is for one machine: give one or the other.")
    return [Member(worker, tuple(cluster.split(",")))]


def print_check(settings: TrainingSettings, recipe_folder: Path, is_run: bool, as_json: bool) -> None:
    """Check a training and print what was found; findings make the command fail."""
    choose_backend(deterministic=settings.compute.deterministic)
    from splitstrument.training.check import check_training

    found = check_training(settings, recipe_folder, is_run=is_run)
    if as_json:
        print_json(vars(found))
    else:
        click.echo(
            f"{found.steps} steps tried: {found.step_s:.3f} s a step, {found.wait_share:.1%} of it waiting for data"
        )
        click.echo(
            f"training: loss {found.first_loss:.5g} at first, {found.last_loss:.5g} at last"
            + masks_text(found.training_baselines)
        )
        if found.validation_loss is not None:
            click.echo(f"validation: loss {found.validation_loss:.5g}" + masks_text(found.baselines))
        click.echo(
            f"an epoch of {found.steps_per_epoch} steps takes {duration(found.epoch_s)}, the whole training "
            f"{duration(found.training_s)}; {found.memory_mb:.0f} MB of memory"
        )
    if found.findings:
        raise TrainingError(" ".join(found.findings))


def print_rates(settings: TrainingSettings, recipe_folder: Path, as_json: bool) -> None:
    """Try learning rates and print the losses, every tenth of the sweep, with the rate to take."""
    choose_backend(deterministic=settings.compute.deterministic)
    from splitstrument.training.rate_finder import find_rate

    found = find_rate(settings, recipe_folder)
    if as_json:
        print_json(vars(found))
        return
    shown = range(0, len(found.rates), max(1, len(found.rates) // 10))
    print_table(["learning rate", "loss"], [[f"{found.rates[i]:.2g}", f"{found.losses[i]:.5g}"] for i in shown])
    if found.diverged:
        click.echo(f"the loss grew beyond {found.rates[-1]:.2g}")
    click.echo(f"steepest at {found.suggestion:g}: --set optimizer.learning_rate={found.suggestion:g}")


def masks_text(baselines: dict[str, float]) -> str:
    """The losses of the trivial masks on the same batches."""
    return "".join(f", {name} scores {value:.5g}" for name, value in baselines.items())


def duration(seconds: float) -> str:
    """Seconds for reading: 40 s, 12 min, 3.5 h."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def export(folder: Path) -> None:
    """Write the best weights as ``model.onnx`` too; a run is whole without it, so a failure is only said."""
    from splitstrument.model_tools.onnx import export_onnx

    try:
        with silent_stderr():
            export_onnx(read_model_folder(folder))
    except (ImportError, OSError, SplitstrumentError) as error:
        click.echo(f"model.onnx was not written ({error}); separation will use Keras.", err=True)


def resumed_recipe(output: Path | None, resume: bool) -> Path:
    """The settings file of the run to resume."""
    if not resume or output is None:
        raise click.UsageError("Give a RECIPE, or --resume with the run folder as -o.")
    return output / "settings.yaml"
