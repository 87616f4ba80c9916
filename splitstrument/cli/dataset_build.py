"""`splitstrument dataset build`: every step of a recipe."""

from __future__ import annotations

from pathlib import Path

import click

from splitstrument.cli.common import (
    dry_run_option,
    jobs_option,
    json_option,
    options,
    print_json,
    quiet_option,
    scheduler_option,
)


@click.command()
@click.argument("recipe", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Folder to build instead of the recipe's.")
@click.option("--root", type=click.Path(path_type=Path), help="Folder of the raw dataset, if the recipe has only one.")
@options(jobs_option, scheduler_option, dry_run_option, quiet_option, json_option)
def build(
    recipe: Path,
    output: Path | None,
    root: Path | None,
    jobs: int,
    scheduler: str | None,
    dry_run: bool,
    quiet: bool,
    as_json: bool,
) -> None:
    """Build the dataset that RECIPE describes: organise, mix, cut silences, hold out, check, write the passport.

    What is unchanged is skipped; a build that was killed goes on where it was.

    \b
    splitstrument dataset build datasets/frets_on_fire.yaml
    splitstrument dataset build datasets/recorded_guitar.yaml --jobs 0
    splitstrument dataset build datasets/recorded_guitar.yaml --scheduler tcp://10.0.0.1:8786
    """
    from splitstrument.datasets.build import build as run
    from splitstrument.datasets.passport import write_passport
    from splitstrument.datasets.recipe import read_recipe
    from splitstrument.errors import SettingsError
    from splitstrument.executor import track_executor
    from splitstrument.recipes import find_recipe

    settings = read_recipe(find_recipe(recipe, "datasets"), {"output": str(output)} if output else None)
    if root:
        if len(settings.sources) != 1:
            raise SettingsError(f"{recipe} has {len(settings.sources)} sources: --root needs exactly one.")
        source = settings.sources[0].model_copy(update={"root": root})
        settings = settings.model_copy(update={"sources": (source,)})
    if dry_run:
        _preview(settings, as_json)
        return
    with track_executor(jobs, scheduler) as executor:
        built = run(settings, executor, quiet)
    _show(write_passport(built), built, as_json)


def _preview(recipe, as_json: bool) -> None:
    """Say which tracks would be taken."""
    from splitstrument.datasets.recipe import chosen_tracks

    chosen = {}
    for source_recipe in recipe.sources:
        source, tracks = chosen_tracks(source_recipe, recipe.target)
        chosen[source.name] = [track.name for track in tracks]
    if as_json:
        print_json({"output": recipe.output, "pairs_from": recipe.pairs_from, "tracks": chosen})
        return
    origin = f"the pairs of {recipe.pairs_from}" if recipe.pairs_from else ""
    what = ", ".join(f"{len(names)} tracks of {name}" for name, names in chosen.items())
    click.echo(f"Would build {recipe.output} from {what or origin}. Nothing was written.")


def _show(passport, built, as_json: bool) -> None:
    from splitstrument.errors import DatasetError

    if as_json:
        print_json({**passport, "failed": built.failures, "n_fresh_steps": built.n_fresh})
    else:
        click.echo(
            f"{built.recipe.output}: {passport['n_tracks']} tracks, {passport['hours']:.2f} hours, "
            f"{len(passport['left_out'])} left out; {built.n_fresh} steps done, the others unchanged."
        )
        for sentence in passport["unknown"]:
            click.echo(f"unknown: {sentence}")
        for check in passport["leakage"]:
            if check["found"]:
                click.echo(f"warning: {check['check']} on both sides, {len(check['found'])} pairs")
    if built.failures:
        raise DatasetError("; ".join(f"{name}: {reason}" for name, reason in built.failures.items()))
