"""``splitstrument info``: what a recipe would train, or a run has trained."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import click

from splitstrument.cli.common import json_option, print_json, print_table
from splitstrument.cli.stand_in import as_asked
from splitstrument.errors import SettingsError
from splitstrument.settings import Loaded
from splitstrument.training.backend import choose_backend
from splitstrument.training.own_code import code_of, files_of
from splitstrument.training.recipes import load_recipe
from splitstrument.training.settings import TrainingSettings
from splitstrument.user_code import blaming

EPILOG = """\b
Examples:
  splitstrument info trainings/quickstart.yaml
  splitstrument info runs/quickstart
  splitstrument info trainings/table_06.yaml --set model.network.filters=92 --json
  splitstrument info trainings/table_06.yaml --stand-in data/corpus_development
  splitstrument info --published trainings
"""


@click.command(epilog=EPILOG)
@click.argument("recipe", metavar="RECIPE|RUN", type=click.Path(path_type=Path))
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Change a setting.")
@click.option("--dataset", "places", multiple=True, metavar="NAME=PATH", help="Say where a dataset lies.")
@click.option("--published", is_flag=True, help="Of a folder of recipes: a table beside the published numbers.")
@click.option(
    "--stand-in", type=click.Path(path_type=Path), metavar="CORPUS", help="Of its stand-in, as `train --stand-in`."
)
@click.option("--scale", multiple=True, help="Of a stand-in, as `train --scale`.")
@click.option("--allow-code", is_flag=True, help="Run Python code that lies beside the recipe to build its network.")
@json_option
def info(
    recipe: Path,
    sets: tuple[str, ...],
    places: tuple[str, ...],
    published: bool,
    stand_in: Path | None,
    scale: tuple[str, ...],
    allow_code: bool,
    as_json: bool,
) -> None:
    """Print parameters, input, operations, datasets and settings (with their origin) of a recipe or a run."""
    if published:
        print_published(recipe, as_json)
        return
    loaded = load_recipe(settings_file(recipe), sets, places)
    choose_backend()
    from splitstrument.training.describe import describe_arithmetic, describe_data

    settings = as_asked(loaded.settings, stand_in, scale)
    described: dict[str, Any] = {
        "name": settings.name,
        "target": settings.model.target,
        "model": model_of(settings, settings_file(recipe), recipe.is_dir(), allow_code),
        "data": describe_data(settings, settings_file(recipe).parent),
        "run": run_progress(recipe),
        "settings": settings_with_origins(Loaded(settings, loaded.origins)),
    }
    described["arithmetic"] = describe_arithmetic(settings, described["model"], described["data"])
    if as_json:
        print_json(described)
    else:
        print_description(described)


def model_of(settings: TrainingSettings, file: Path, is_run: bool, allowed: bool) -> dict[str, Any]:
    """Describe the network; code that it needs is run only where this machine or the user allows it."""
    from splitstrument.training.describe import describe_model

    code = code_of(file.parent, is_run)
    code = replace(code, allowed=allowed, remedy="add --allow-code" if code.allowed else code.remedy)
    with blaming(files_of(code, settings)):
        return describe_model(settings.model, code)


def print_published(folder: Path, as_json: bool) -> None:
    """Print the published trainings of a folder of recipes as a Markdown table, or JSON."""
    recipes = [load_recipe(path).settings for path in sorted(folder.glob("*.yaml")) if "published:" in path.read_text()]
    if not recipes:
        raise SettingsError(f"{folder} holds no recipe with published numbers: give the folder trainings.")
    choose_backend()
    from splitstrument.reproduction.published import HEADER, published_rows
    from splitstrument.tables import markdown

    rows = published_rows(recipes)
    if as_json:
        print_json([list(zip(HEADER, row, strict=True)) for row in rows])
    else:
        click.echo(markdown(HEADER, rows), nl=False)


def settings_file(path: Path) -> Path:
    """The recipe itself, or the settings in a run folder."""
    if not path.is_dir():
        return path
    if not (path / "settings.yaml").is_file():
        raise SettingsError(f"{path} is no run folder (it has no settings.yaml): give a recipe or a run.")
    return path / "settings.yaml"


def run_progress(path: Path) -> dict[str, Any] | None:
    """How far a run has come; None for a recipe or a run that has not saved anything yet."""
    from splitstrument.training.checkpoint import STATE_FILE, read_record

    if not (path / STATE_FILE).is_file():
        return None
    position, _ = read_record(path)
    last = position.rows[-1] if position.rows else {}
    return {
        "steps": position.step,
        "epochs": len(position.rows),
        "loss": last.get("loss"),
        "val_loss": last.get("val_loss"),
        "best_loss": position.best_loss,
        "best_epoch": position.best_epoch,
        "seconds": sum(row["seconds"] for row in position.rows),
    }


def settings_with_origins(loaded: Loaded[TrainingSettings]) -> dict[str, dict[str, Any]]:
    """Dotted key -> value and the file (or flag, or default) that set it."""
    flat = _flat(loaded.settings.model_dump(mode="json"))
    return {key: {"value": value, "origin": loaded.origin(key)} for key, value in flat.items()}


def print_description(described: dict[str, Any]) -> None:
    """Print for reading."""
    model, data, run = described["model"], described["data"], described["run"]
    click.echo(f"{described['name']}: extracts the {described['target']}")
    click.echo(f"  trainable parameters   {model['trainable_parameters']:,} (and {model['other_parameters']:,} others)")
    click.echo(
        f"  input                  {' x '.join(map(str, model['input_shape']))}, {model['chunk_s']:.3f} s a chunk"
    )
    click.echo(
        f"  operations             {model['operations_per_chunk'] / 1e9:.2f} G a chunk, "
        f"{model['operations_per_second'] / 1e9:.2f} G a second of audio"
    )
    if "problem" in data:
        click.echo(f"  data                   {data['problem']}")
    else:
        click.echo(
            f"  an epoch               {data['steps_per_epoch']} steps, then {data['validation_steps']} to validate"
        )
        header = ["dataset", "ratio", "training tracks", "hours", "validation tracks", "hours"]
        print_table(header, [list(row.values()) for row in data["datasets"]])
        arithmetic = described["arithmetic"]
        hours = ", ".join(f"{arithmetic['hours'][name]:.2g} h on {name}" for name in arithmetic["hours"])
        click.echo(f"  whole training         {arithmetic['operations'] / 1e15:.3g} P operations: roughly {hours}")
    if run:
        best = f", best {run['best_loss']:.5g} in epoch {run['best_epoch']}" if run["best_loss"] is not None else ""
        click.echo(
            f"  trained                {run['epochs']} epochs, {run['steps']} steps, {run['seconds']:.0f} s{best}"
        )
    rows = [[key, str(entry["value"]), entry["origin"]] for key, entry in described["settings"].items()]
    print_table(["setting", "value", "from"], rows)


def _flat(data: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(data, dict) or not data:
        return {prefix.rstrip("."): data}
    return {key: value for name, inner in data.items() for key, value in _flat(inner, f"{prefix}{name}.").items()}
