"""``splitstrument models``: list, show, export, adapt and import."""

from __future__ import annotations

from pathlib import Path

import click

from splitstrument.cli.common import json_option, print_json, print_table, quiet_option
from splitstrument.errors import ModelError
from splitstrument.model_folder import ONNX_FILE, ModelFolder, find_model, list_models
from splitstrument.progress import progress


@click.group(
    epilog="\b\nExamples:\n"
    "  splitstrument models list\n"
    "  splitstrument models show guitar\n"
    "  splitstrument models export runs/quickstart\n"
    "  splitstrument models export runs/quickstart --calibrate datasets/mine\n"
    "  splitstrument models adapt runs/mine song.mp3 -o runs/mine_for_song"
)
def models() -> None:
    """List, show, export, adapt and import models."""


@models.command("list")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path))
@json_option
def list_command(folders: tuple[Path, ...], as_json: bool) -> None:
    """List the shipped models and those in FOLDERS (default: runs)."""
    found = list_models(*folders)
    if as_json:
        print_json([_as_dict(folder) for folder in found])
    elif not found:
        click.echo("There are no models yet: train one with `splitstrument train trainings/quickstart.yaml`.")
    else:
        rows = [
            [
                folder.description.name,
                folder.settings.target,
                folder.settings.network.kind,
                folder.settings.spectrogram.sample_rate_hz,
                folder.description.summary or None,
                str(folder.path),
            ]
            for folder in found
        ]
        print_table(["name", "target", "network", "Hz", "summary", "path"], rows)


@models.command()
@click.argument("model")
@json_option
def show(model: str, as_json: bool) -> None:
    """Show what MODEL is, check its files, and print its card."""
    folder = find_model(model)
    for name in folder.description.files:
        folder.file(name)
    if as_json:
        print_json(_as_dict(folder))
        return
    description = folder.description
    settings = folder.settings
    click.echo(f"{description.name}: {description.summary or 'no summary'}")
    rows = [
        ["path", str(folder.path)],
        ["target", settings.target],
        ["network", str(settings.network)],
        ["spectrogram", str(settings.spectrogram)],
        ["chunk", f"{settings.n_frames} frames, {settings.chunk_s:.2f} s, overlap {settings.overlap:g}"],
        ["gates", f"instrument {_decibels(settings.gate_db)}, rest {_decibels(settings.rest_gate_db)}"],
        ["licence", description.licence or "not said"],
        ["trained on", description.trained_on or "not recorded"],
        *[[f"file {name}", f"sha256 {digest} (checked)"] for name, digest in description.files.items()],
    ]
    for key, value in rows:
        click.echo(f"  {key:<12} {value}")
    card = folder.path / "card.md"
    if card.is_file():
        click.echo("\n" + card.read_text(encoding="utf-8"))


def _decibels(gate_db: float | None) -> str:
    return "none" if gate_db is None else f"{gate_db:g} dB"


@models.command()
@click.argument("model")
@click.option(
    "--calibrate",
    "songs",
    multiple=True,
    help="Also write model.int8.onnx, calibrated on these songs (files, folders, patterns) of the training.",
)
def export(model: str, songs: tuple[str, ...]) -> None:
    """Write MODEL's model.onnx, which separates without TensorFlow, and compare it with the Keras weights."""
    from splitstrument.model_tools.onnx import export_error_db, export_onnx

    folder = find_model(model)
    if not songs or ONNX_FILE not in folder.description.files:
        folder = export_onnx(folder)
        error_db = export_error_db(folder, "onnxruntime")
        click.echo(f"{folder.path / ONNX_FILE} differs from the Keras weights by {error_db:.0f} dB.")
    if songs:
        from splitstrument.model_tools.int8 import INT8_FILE, export_int8
        from splitstrument.separation.inputs import expand

        folder = export_int8(folder, expand(songs))
        error_db = export_error_db(folder, "onnxruntime-int8", "onnxruntime")
        click.echo(f"{folder.path / INT8_FILE} differs from {ONNX_FILE} by {error_db:.0f} dB on random chunks.")


@models.command()
@click.argument("model")
@click.argument("songs", nargs=-1)
@click.option("--tracks", type=click.Path(path_type=Path), help="Adapt to the mixtures of the pairs below this folder.")
@click.option("--track", "names", multiple=True, help="Of --tracks only this track; may be given several times.")
@click.option("--share", type=click.FloatRange(0, 1), default=0.3, show_default=True, help="1 forgets the training's.")
@click.option("--weights", type=click.Choice(["best", "last"]), default="best", show_default=True)
@click.option("-o", "--output", type=click.Path(path_type=Path), required=True, help="A new folder for the model.")
@quiet_option
def adapt(
    model: str,
    songs: tuple[str, ...],
    tracks: Path | None,
    names: tuple[str, ...],
    share: float,
    weights: str,
    output: Path,
    quiet: bool,
) -> None:
    """Move MODEL's statistics towards those of SONGS (files, folders, patterns), without stems; write a new model.

    \b
    For a model that learned from a few songs (docs/trainings.md).
      splitstrument models adapt runs/mine song.mp3 -o runs/mine_for_song
      splitstrument separate song.mp3 --model runs/mine_for_song
    """
    from splitstrument.audio import probe
    from splitstrument.model_tools.adapt import adapt as adapted
    from splitstrument.pairs import Pair, find_pairs
    from splitstrument.separation.inputs import expand

    heard: list[Path | Pair] = [*expand(songs)]
    if tracks:
        pairs = {pair.name: pair for pair in find_pairs(tracks)}
        if absent := [name for name in names if name not in pairs]:
            raise ModelError(f"{tracks} has no track {', '.join(absent)}: choose from {', '.join(sorted(pairs))}.")
        heard += [pairs[name] for name in dict.fromkeys(names or pairs)]
    if not heard:
        raise ModelError("There is nothing to adapt to: name songs, or --tracks with tracks that are there.")
    files = [song.instrument if isinstance(song, Pair) else song for song in heard]
    with progress("adapting", sum(probe(file).duration_s for file in files), "s of audio", quiet) as advance:
        folder = adapted(find_model(model), heard, output, share, weights, advance)
    click.echo(f"{folder.path}: try `splitstrument separate SONG --model {folder.path}`.")


@models.command("average")
@click.argument("sources", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path), metavar="RUN...")
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the new model.")
def average(sources: tuple[Path, ...], output: Path) -> None:
    """Write a model with the mean of the weights of several runs, or of the best epochs that one has kept.

    \b
      splitstrument train trainings/quickstart.yaml --set records.keep_best=3
      splitstrument models average runs/quickstart -o runs/quickstart_mean
      splitstrument models average runs/a runs/b/top/epoch_00007.weights.h5 -o runs/mean
    """
    from splitstrument.model_tools.average import average_models

    model = average_models(sources, output)
    click.echo(f"{model.path}: {model.description.summary}")


@models.command("allow-code")
@click.argument("model", type=click.Path(path_type=Path))
def allow_code(model: Path) -> None:
    """Allow the Python code in MODEL, a model or run folder, to be run on this machine.

    A network or loss that came with a model (docs/extending.md) may do anything you may. What you train yourself is
    allowed already; read the code of anybody else first. A changed file has to be allowed again.
    """
    from splitstrument.training.own_code import code_in
    from splitstrument.user_code import allow

    code, names = code_in(model)
    if not names:
        raise ModelError(f"{model} has no code of its own: there is nothing to allow.")
    for name in names:
        allow(name, code.digest(name))
        click.echo(f"{name}: {code.file_of(name)} may be run here, SHA-256 {code.digest(name)}.")


@models.command("import")
@click.argument("source", type=click.Path(path_type=Path))
@click.argument("destination", type=click.Path(path_type=Path))
@click.option("--target", default="guitar", show_default=True, help="The instrument that the model extracts.")
@click.option("--sample-rate", "sample_rate_hz", type=int, default=22050, show_default=True)
@click.option("--name", help="Name of the model; default the destination's.")
def import_command(source: Path, destination: Path, target: str, sample_rate_hz: int, name: str | None) -> None:
    """Import a Keras 2 model of the thesis.

    SOURCE is a folder with model.json and a weights file in HDF5 format (weights.h5), as the thesis's program wrote
    it; DESTINATION becomes a model folder. Needs the extra `train`.
    """
    from splitstrument.reproduction.keras2_import import import_keras2

    if destination.exists() and any(destination.iterdir()):
        raise ModelError(f"{destination} is not empty: choose a new folder.")
    folder = import_keras2(source, destination, target, sample_rate_hz, name or destination.name)
    click.echo(f"{folder.path}: imported; try `splitstrument separate SONG --model {folder.path}`.")


def _as_dict(folder: ModelFolder) -> dict:
    return {"path": folder.path, **folder.description.model_dump(mode="json")}
