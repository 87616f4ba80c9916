"""Put a trained run into the package as a shipped model, and record what it scores on the shipped sample.

    python benchmarks/ship.py runs/guitar guitar --summary "..." --trained-on "..."

Copies the best weights and the provenance, writes model.yaml, exports model.onnx, compares the engines, and writes
sample_scores.yaml, against which the tests hold the shipped files from then on. The card (card.md) is written by hand.
Run it in a process of its own: a training in bfloat16 leaves TensorFlow computing in bfloat16.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

import splitstrument
from splitstrument import audio
from splitstrument.evaluation.scores import score_pair
from splitstrument.files import write_yaml
from splitstrument.modelfolder import ModelDescription, ModelFolder, read_model_folder, write_model_folder
from splitstrument.pairs import Pair, find_pairs
from splitstrument.separation.engines import ENGINES
from splitstrument.separation.export import export_error_db, export_onnx
from splitstrument.separation.store import SHIPPED

WEIGHTS = "best.weights.h5"
SAMPLES = {"guitar": Path("datasets/sample/real"), "piano": Path("datasets/sample/rendered/piano")}
SCORES_FILE = "sample_scores.yaml"


def main() -> None:
    """Ship one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("name", help="what it will be called")
    parser.add_argument("--summary", default="")
    parser.add_argument("--trained-on", default="")
    parser.add_argument("--n-frames", type=int, help="length of a chunk at separation, where it differs from training")
    arguments = parser.parse_args()
    folder = ship(arguments.run, arguments.name, arguments.summary, arguments.trained_on, arguments.n_frames)
    for engine in sorted(set(ENGINES) - {"keras"}):
        try:
            print(f"{engine:12} differs from Keras by {export_error_db(folder, engine):7.1f} dB")
        except splitstrument.errors.SplitstrumentError as error:
            print(f"{engine:12} {error}")
    scores = {pair.name: round(sample_score(pair, str(folder.path)), 3) for pair in find_pairs(SAMPLES[arguments.name])}
    write_yaml(folder.path / SCORES_FILE, {"data": str(SAMPLES[arguments.name]), "si_sdr": scores})
    print(scores)


def ship(run: Path, name: str, summary: str, trained_on: str, n_frames: int | None) -> ModelFolder:
    """Copy a run's model into the package."""
    source, place = read_model_folder(run), SHIPPED / name
    place.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source.file(WEIGHTS), place / WEIGHTS)
    shutil.copyfile(run / "provenance.json", place / "provenance.json")
    model = source.settings.model_copy(update={"n_frames": n_frames}) if n_frames else source.settings
    description = ModelDescription(
        name=name,
        summary=summary or source.description.summary,
        trained_on=trained_on or source.description.trained_on,
        model=model,
    )
    write_model_folder(place, description, [WEIGHTS])
    return export_onnx(read_model_folder(place))


def sample_score(pair: Pair, model: str) -> float:
    """SI-SDR of the instrument that `model` takes out of a pair's mixture, in dB."""
    (instrument, rate_hz), (rest, _) = audio.read(pair.instrument), audio.read(pair.rest)
    estimate = splitstrument.separate(instrument + rest, rate_hz, model=model).instrument
    references, estimates = np.stack([instrument, rest]), np.stack([estimate, instrument + rest - estimate])
    return score_pair(references, estimates, rate_hz, framewise=False)["instrument"]["si_sdr"]


if __name__ == "__main__":
    main()
