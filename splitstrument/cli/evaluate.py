"""`splitstrument evaluate`: separate and score evaluation tracks with a model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from splitstrument.cli.score import measuring, settings_of, show_all, track, workers_of

if TYPE_CHECKING:
    from splitstrument.evaluation.schema import Record

# of the folder of results; the best weights have the model's own
SUFFIXES = {"best": "", "last": "-last"}


@click.command()
@click.argument("model")
@click.option("--tracks", type=click.Path(path_type=Path), required=True, help="Folder of instrument/rest pairs.")
@click.option("--track", "names", multiple=True, help="Only this track; may be given several times.")
@click.option(
    "--split",
    type=click.Choice(["all", "evaluation", "validation"]),
    help="Tracks of the dataset's evaluation.yaml or validation.yaml (else the first 20 % by MD5), or all. "
    "By default the evaluation list if there is one.",
)
@click.option(
    "--weights",
    default="best",
    show_default=True,
    metavar="best,last",
    help="Weights of a run to evaluate: of the lowest validation loss, of the last epoch, or both, side by side.",
)
@click.option("--stem", metavar="NAME", help="Which instrument of a model of several; all that the tracks have, else.")
@click.option("--engine", help="Inference engine (see `splitstrument models`).")
@click.option("--overlap", type=click.FloatRange(0, 0.875), help="Overlap of chunks; the model's own by default.")
@click.option("--gate", "gate_db", type=float, help="Gate of `splitstrument separate`; the model's own by default.")
@click.option("--rest-gate", "rest_gate_db", type=float, help="The same for the rest.")
@click.option("--keep-estimates", is_flag=True, help="Keep the separated instruments as float WAV files.")
@measuring
def evaluate(
    model: str,
    tracks: Path,
    names: tuple[str, ...],
    split: str | None,
    weights: str,
    stem: str | None,
    engine: str | None,
    overlap: float | None,
    gate_db: float | None,
    rest_gate_db: float | None,
    output: Path | None,
    **flags,
) -> None:
    """Separate every track below --tracks with MODEL (a run folder or a shipped model) and score instrument and rest.

    Beside the model stand the mixture as estimate, silence, the best fixed EQ fitted on the songs of --eq-from (a song
    never on itself) and oracle masks. Interrupted, it goes on where it was. The results go into
    MODEL/evaluation/<data> for a run folder.

    --tracks holds pairs (<track>/instrument*, rest*) or stems (a stem set, or <track>/guitar.wav, ...). Of stems, every
    instrument that the model takes out is scored against all others, in a folder of its own.

    \b
    splitstrument evaluate runs/quickstart --tracks datasets/sample/real --eq-from datasets/sample/real
    splitstrument evaluate runs/quickstart --tracks datasets/sample/real --weights best,last
    splitstrument evaluate guitar --tracks data/frets_on_fire --jobs 2 --json
    splitstrument evaluate runs/band --tracks data/stems --eq-from data/training_stems
    """
    from splitstrument.evaluation.run import describe_data, evaluate_model, evaluate_model_stems
    from splitstrument.evaluation.selection import model_with
    from splitstrument.evaluation.stems import find_stem_tracks
    from splitstrument.model_folder import SHIPPED, find_model
    from splitstrument.separation.engines import engine_kind
    from splitstrument.separation.options import SeparationOptions
    from splitstrument.settings import validate

    found = find_model(model)
    data = describe_data(tracks)["name"]
    own = Path("results") / found.description.name if found.path.is_relative_to(SHIPPED) else found.path / "evaluation"
    chosen = {"engine": engine, "overlap": overlap, "gate_db": gate_db, "rest_gate_db": rest_gate_db}
    options = validate(chosen, SeparationOptions, "The options")
    engine_kind(found, engine)  # once, and not for every track
    in_stems = bool(find_stem_tracks(tracks))
    records: dict[Path, Record] = {}
    for which in chosen_weights(weights):
        folder = (output or own / data).with_name((output or own / data).name + SUFFIXES[which])
        with model_with(found, which) as path:
            asked = (tracks, folder, settings_of(flags), flags["eq_from"], options, names, split, workers_of(flags))
            if in_stems:
                by_stem = evaluate_model_stems(str(path), *asked, stem)
                records |= {folder / name: record for name, record in by_stem.items()}
            else:
                records[folder] = evaluate_model(str(path), *asked, stem)
    track(records, flags["trackers"])
    show_all(records, flags["as_json"])


def chosen_weights(text: str) -> list[str]:
    """Read the value of --weights."""
    chosen = list(dict.fromkeys(part.strip() for part in text.split(",")))
    if set(chosen) - set(SUFFIXES):
        raise click.BadParameter(f"{text!r} should be best, last, or best,last.", param_hint="--weights")
    return chosen
