"""Put a trained run into the package as a shipped model, and record what it scores on the shipped sample.

    python -m splitstrument.release.ship guitar runs/mine --summary "..." --trained-on "..."
    python -m splitstrument.release.ship guitar runs/joint_wide_finish --gate -16 --rest-gate -10  # output 0
    python -m splitstrument.release.ship piano runs/joint_wide --output 1 --gate -16 --rest-gate -10
    python -m splitstrument.release.ship guitar runs/one runs/another  # two members: masks are averaged
    python -m splitstrument.release.ship band runs/band --stems guitar piano bass drums  # of a training on stem sets
    python -m splitstrument.release.ship band runs/band --stems guitar piano --calibration results/calibration.yaml

Takes the best weights of a run, or those that its name ends on (runs/joint_wide/last.weights.h5). Copies them, with
kernels rounded to float16, and the provenance, writes model.yaml, exports model.onnx, compares the engines, and writes
sample_scores.yaml, against which the tests hold the shipped files from then on. The card (card.md) is written by hand,
but for its scores (`splitstrument.release.card`).
Run it in a process of its own: a training in bfloat16 leaves TensorFlow computing in bfloat16.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

import splitstrument
from splitstrument import audio
from splitstrument.errors import ModelError
from splitstrument.evaluation.metrics.score import score_pair
from splitstrument.files import write_json, write_yaml
from splitstrument.model_folder import (
    SHIPPED,
    ModelDescription,
    ModelFolder,
    read_model_folder,
    shipped_models,
    write_model_folder,
)
from splitstrument.model_tools.float16 import halve_weights, rounded
from splitstrument.model_tools.onnx import export_error_db, export_onnx
from splitstrument.network.bandunet import member_of, weights_of_outputs
from splitstrument.network.settings import ModelSettings
from splitstrument.pairs import Pair, find_pairs
from splitstrument.separation.engines import ENGINES
from splitstrument.settings import read_yaml, validate
from splitstrument.spectrogram import Float

WEIGHTS = "best.weights.h5"
SAMPLES = {
    "guitar": Path("datasets/sample/real"),
    "piano": Path("datasets/sample/rendered/piano"),
    "band": Path("datasets/sample/real"),  # its target is the guitar
}
SCORES_FILE = "sample_scores.yaml"


def main() -> None:
    """Ship one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name", choices=SAMPLES, help="what it will be called")
    parser.add_argument("runs", type=Path, nargs="+", help="run folders, or weights in them; several become members")
    parser.add_argument("--summary", default="")
    parser.add_argument("--trained-on", default="")
    parser.add_argument("--n-frames", type=int, help="length of a chunk at separation, where it differs from training")
    parser.add_argument("--overlap", type=float, help="of chunks at separation, where it differs from training")
    parser.add_argument("--gate", dest="gate_db", type=float, help="its gate at separation, in dB")
    parser.add_argument("--rest-gate", dest="rest_gate_db", type=float, help="its gate of the rest")
    parser.add_argument("--output", type=int, default=0, help="of a joint training: 0 is its target, 1 the second one")
    parser.add_argument("--stems", nargs="+", default=[], help="of a training on stem sets: those that the model keeps")
    parser.add_argument("--calibration", type=Path, help="what `splitstrument.release.calibration` wrote")
    arguments = parser.parse_args()
    chosen = {key: getattr(arguments, key) for key in ("n_frames", "overlap", "gate_db", "rest_gate_db")}
    changes = {key: value for key, value in chosen.items() if value is not None}
    what = arguments.stems or arguments.output
    if arguments.calibration:
        curves = read_yaml(arguments.calibration)
        changes["calibration"] = {stem: curves[stem] for stem in arguments.stems or [arguments.name] if stem in curves}
    folder = ship(arguments.runs, arguments.name, arguments.summary, arguments.trained_on, what, changes)
    for engine in sorted(set(ENGINES) - {"keras"}):
        try:
            print(f"{engine:12} differs from Keras by {export_error_db(folder, engine):7.1f} dB")
        except splitstrument.errors.SplitstrumentError as error:
            print(f"{engine:12} {error}")
    pairs = find_pairs(SAMPLES[arguments.name])
    scores = {pair.name: sample_score(pair, str(folder.path)) for pair in pairs}
    write_yaml(folder.path / SCORES_FILE, {"data": str(SAMPLES[arguments.name]), "si_sdr": scores})
    print(scores)


def ship(
    runs: list[Path], name: str, summary: str, trained_on: str, what: int | list[str], changes: dict[str, Any]
) -> ModelFolder:
    """Put the model of a run into the package; with several runs, a model whose members they are.

    Parameters
    ----------
    what
        Which output of the runs' networks the model keeps, as the instrument `name`; or, of networks of several
        instruments, the names of those that it keeps.
    changes
        Model settings in which it differs from the first run's.
    """
    from splitstrument.network.registry import build_network

    weights = [run if run.suffix == ".h5" else run / WEIGHTS for run in runs]
    source, place = read_model_folder(weights[0].parent), SHIPPED / name
    place.mkdir(parents=True, exist_ok=True)
    kept, names = kept_outputs(source.settings, what, name)
    network = source.settings.network.model_copy(update={"members": len(weights), "outputs": len(kept)})
    model = validate(
        source.settings.model_dump() | {"network": network.model_dump(), **names, **changes}, ModelSettings, name
    )
    shipped = build_network(model)
    for index, file in enumerate(weights):
        single = build_network(read_model_folder(file.parent).settings)
        single.load_weights(file)
        part = member_of(shipped, index) if len(weights) > 1 else shipped
        paths = [variable.path for variable in single.weights]
        part.set_weights(weights_of_outputs(single.get_weights(), paths, single.output_shape[-1], kept))
    shipped.set_weights(rounded(shipped.get_weights()))
    shipped.save_weights(place / WEIGHTS)
    halve_weights(place / WEIGHTS)
    write_json(place / "provenance.json", {part: record for file in weights for part, record in parts_of(file)})
    description = ModelDescription(
        name=name,
        summary=summary or source.description.summary,
        trained_on=trained_on or source.description.trained_on,
        model=model,
    )
    write_model_folder(place, description, [WEIGHTS])
    return export_onnx(read_model_folder(place))


def kept_outputs(model: ModelSettings, what: int | list[str], name: str) -> tuple[list[int], dict[str, Any]]:
    """Numbers of the outputs to keep, and what they are called in the model's settings."""
    if isinstance(what, int):
        return [what], {"target": name}
    strange = sorted(set(what) - set(model.names))
    if strange:
        raise ModelError(f"The run has no stem {strange[0]!r}: it has {', '.join(model.names)}.")
    kept = [model.n_views * model.names.index(stem) + view for stem in what for view in range(model.n_views)]
    return kept, {"target": what[0], "stems": tuple(what)}


def parts_of(place: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The run at (or around the weights at) `place` and those it started from: provenance, and steps that were made."""
    run = place.parent if place.suffix == ".h5" else place
    record = json.loads((run / "provenance.json").read_text())
    epochs = list(csv.DictReader((run / "history.csv").open()))
    yield str(run), {"steps_done": sum(int(epoch["steps"]) for epoch in epochs), **record}
    before = record["settings"].get("init_from") or []
    for start in [before] if isinstance(before, str) else before:
        if start in shipped_models():
            yield from json.loads((shipped_models()[start] / "provenance.json").read_text()).items()
        else:
            yield from parts_of(Path(start))


def first_stem(song: Float, rate_hz: int, model: str) -> Float:
    """The instrument that `model` takes out of a song; of several the first one, its target."""
    return next(iter(splitstrument.separate(song, rate_hz, model=model).stems.values()))


def sample_score(pair: Pair, model: str) -> float | None:
    """SI-SDR of the instrument that `model` takes out of a pair's mixture, in dB; None where it is undefined."""
    (instrument, rate_hz), (rest, _) = audio.read(pair.instrument), audio.read(pair.rest)
    estimate = first_stem(instrument + rest, rate_hz, model)
    references, estimates = np.stack([instrument, rest]), np.stack([estimate, instrument + rest - estimate])
    value = score_pair(references, estimates, rate_hz, framewise=False)["instrument"]["si_sdr"]
    return None if value is None else round(value, 3)


if __name__ == "__main__":
    main()
