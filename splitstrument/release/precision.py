"""Cost of reduced precision in score: every engine against the exact one, on held-out songs.

    python -m splitstrument.release.precision guitar                       # part of `make scores`
    python -m splitstrument.release.precision piano --seconds 60 --pairs data/corpus/dev/heldout/test/piano

For the loudest seconds of each song's instrument: its SI-SDR by ONNX Runtime in float32, and what other engines give
more or less than that. The int8 network is made for the occasion, in a temporary folder, and calibrated on songs of the
training; the models that ship have none. An engine may be the default only if it stays within 0.1 dB.
"""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

import splitstrument
from splitstrument import audio
from splitstrument.errors import SplitstrumentError
from splitstrument.evaluation.metrics.si_sdr import si_sdr
from splitstrument.files import scratch_folder
from splitstrument.model_folder import ModelFolder, find_model, read_model_folder
from splitstrument.pairs import Pair, find_pairs
from splitstrument.separation.engines import INT8_FILE, open_engine
from splitstrument.separation.pipeline import load_model
from splitstrument.tables import markdown, number

PAIRS = "data/corpus/dev/heldout/test/{target}"
CALIBRATE_ON = "data/corpus_development/{target}"
EXACT = "onnxruntime"
ENGINES = (EXACT, "openvino", "openvino-bf16", "onnxruntime-int8")
ALLOWED_DB = 0.1
N_CALIBRATION_SONGS = 12


def main() -> None:
    """Print a table for one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", help="a shipped name or a model folder with model.onnx")
    parser.add_argument("--pairs", type=Path, help=f"[default: {PAIRS}]")
    parser.add_argument("--calibrate", type=Path, help=f"pairs of the training [default: {CALIBRATE_ON}]")
    parser.add_argument("--seconds", type=float, default=30)
    arguments = parser.parse_args()
    target = find_model(arguments.model).settings.target
    pairs = arguments.pairs or Path(PAIRS.format(target=target))
    songs = arguments.calibrate or Path(CALIBRATE_ON.format(target=target))
    print(table([{"target": target, **row} for row in compare(arguments.model, pairs, songs, arguments.seconds)]))


def compare(model: str, pairs: Path, calibrate_on: Path | None, seconds: float = 30) -> list[dict[str, Any]]:
    """A row for each engine: median SI-SDR in dB, and median and worst difference to the exact engine's.

    Parameters
    ----------
    calibrate_on
        Pairs for the int8 network; without them (None, or no such folder) it is left out.
    """
    excerpts = [excerpt(pair, seconds) for pair in find_pairs(pairs)]
    with scratch_folder() as scratch:
        folder = _with_int8(find_model(model), Path(scratch), calibrate_on)
        exact = _scores(folder, EXACT, excerpts)
        rows = []
        for engine in ENGINES:
            try:
                open_engine(folder, engine)
            except SplitstrumentError as error:
                print(f"{engine} is left out: {error}")
                continue
            scores = exact if engine == EXACT else _scores(folder, engine, excerpts)
            change = scores - exact
            rows.append({"engine": engine, "songs": len(scores), "si_sdr": float(np.median(scores)),
                         "change": float(np.median(change)), "worst": float(change.min())})  # fmt: skip
    return rows


def _with_int8(folder: ModelFolder, scratch: Path, calibrate_on: Path | None) -> ModelFolder:
    """A copy of the model beside which an int8 network lies, where there are songs to calibrate it on."""
    if (folder.path / INT8_FILE).is_file() or calibrate_on is None or not calibrate_on.is_dir():
        return folder
    from splitstrument.model_tools.int8 import export_int8

    shutil.copytree(folder.path, scratch / "model")
    songs: list[Any] = []
    for pair in find_pairs(calibrate_on)[:N_CALIBRATION_SONGS]:
        (instrument, rate_hz), (rest, _) = audio.read(pair.instrument), audio.read(pair.rest)
        songs.append(scratch / f"{len(songs)}.wav")
        audio.write(songs[-1], instrument + rest, rate_hz, "FLOAT")
    return export_int8(read_model_folder(scratch / "model"), songs)


def excerpt(pair: Pair, seconds: float) -> tuple[np.ndarray, np.ndarray, int]:
    """Instrument and rest where the instrument is loudest, (n_samples, n_channels), with their rate."""
    (instrument, rate_hz), (rest, _) = audio.read(pair.instrument), audio.read(pair.rest)
    size = int(seconds * rate_hz)
    starts = range(0, max(1, len(instrument) - size), rate_hz)
    start = max(starts, key=lambda first: float(np.sum(instrument[first : first + size] ** 2)))
    return instrument[start : start + size], rest[start : start + size], rate_hz


def _scores(folder: ModelFolder, engine: str, excerpts: Sequence[tuple[np.ndarray, np.ndarray, int]]) -> np.ndarray:
    loaded = load_model(folder, engine)
    return np.array(
        [
            si_sdr(instrument, splitstrument.separate(instrument + rest, rate_hz, model=loaded).instrument)
            for instrument, rest, rate_hz in excerpts
        ]
    )


def table(rows: Sequence[dict[str, Any]]) -> str:
    """As Markdown."""
    header = ["target", "engine", "songs", "SI-SDR", "against float32, median", "worst song", "within 0.1 dB"]
    cells = [
        [row["target"], row["engine"], str(row["songs"]), number(row["si_sdr"]), number(row["change"], digits=3),
         number(row["worst"], digits=3), "yes" if row["change"] >= -ALLOWED_DB else "no"]
        for row in rows
    ]  # fmt: skip
    return markdown(header, cells)


if __name__ == "__main__":
    main()
