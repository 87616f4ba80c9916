"""Cost of the networks: parameters, operations, and time per second of audio, as ratios in one run.

    python benchmarks/network.py                          # our network and the thesis's, forward, by ONNX Runtime
    python benchmarks/network.py --train                  # also a training step of each (slow for the thesis's network)
    python benchmarks/network.py --threads 2 --models guitar runs/mine

Networks have random weights unless named with --models, which changes nothing about their time. CPU time is counted,
so that a busy machine changes little; with several threads it is their sum, so divide by --threads for the time on an
idle machine.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from splitstrument.model_folder import find_model
from splitstrument.network.settings import BandUnetSettings, HourglassSettings, ModelSettings, SpectrogramSettings
from splitstrument.tables import markdown, number
from splitstrument.training.describe import count_operations

SHIPPED = {"folds": (4, 8, 16, 16), "time_fold": 4, "width": 104, "growth": 16, "levels": 4}
FAST = {"spectrogram": SpectrogramSettings(n_fft=2048, hop_length=512), "n_frames": 128, "normalisation": "none"}
FORMS = {
    "hourglass, 192 filters (thesis)": ModelSettings(network=HourglassSettings()),
    "bandunet, width 104 (what ships)": ModelSettings(network=BandUnetSettings(**SHIPPED), **{**FAST, "n_frames": 256}),
    "bandunet, width 64 (a member of the models before)": ModelSettings(
        network=BandUnetSettings(folds=(4, 8, 16, 16), time_fold=4, width=64, growth=32), **FAST
    ),
    "bandunet, width 32 (of the first models)": ModelSettings(network=BandUnetSettings(), **FAST),
    "bandunet, width 16": ModelSettings(network=BandUnetSettings(width=16), **FAST),
    "bandunet, width 48": ModelSettings(network=BandUnetSettings(width=48), **FAST),
    "bandunet, no frequency-wide layers": ModelSettings(network=BandUnetSettings(bottleneck=0), **FAST),
    "bandunet, frames not folded": ModelSettings(network=BandUnetSettings(time_fold=1), **FAST),
}


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", nargs="*", help="shipped names or folders, instead of the list of forms")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--train", action="store_true", help="also time a training step (bfloat16)")
    arguments = parser.parse_args()
    forms = {name: find_model(name).settings for name in arguments.models} if arguments.models else FORMS
    header = ["network", "parameters", "Gop per s of audio", "ms per s of audio", "times the first one's"]
    rows, first = [], None
    for name, model in forms.items():
        network = _network(model)
        forward = _forward_ms(network, model, arguments.threads, arguments.repeats)
        first = first or forward
        row = [
            name,
            f"{network.count_params():,}",
            number(count_operations(network) / model.chunk_s / 1e9),
            number(forward),
        ]
        row.append(number(forward / first, digits=3))
        if arguments.train:
            row.append(number(_train_ms(network, model, arguments.repeats)))
        rows.append(row)
        print(" ".join(row), flush=True)
    print("\n" + markdown(header + ["ms to train on it"] * arguments.train, rows))


def _network(model: ModelSettings):
    from splitstrument.network.registry import build_network

    return build_network(model)


def _forward_ms(network, model: ModelSettings, threads: int, repeats: int) -> float:
    """CPU milliseconds of ONNX Runtime per second of audio: the best of `repeats`."""
    import onnxruntime

    chunk = np.random.default_rng(0).random((1, *model.input_shape), np.float32)
    network(chunk)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        network.export(str(path), format="onnx", verbose=False)
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    name = session.get_inputs()[0].name
    return _best(lambda: session.run(None, {name: chunk}), repeats) * 1000 / model.chunk_s


def _train_ms(network, model: ModelSettings, repeats: int, batch_size: int = 4) -> float:
    """CPU milliseconds of a training step per second of audio."""
    import keras
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options({"auto_mixed_precision_onednn_bfloat16": True})
    inputs = keras.Input(model.input_shape)
    trainer = keras.Model(inputs, inputs * network(inputs))
    trainer.compile(optimizer="adam", loss="mae")
    batch = np.random.default_rng(0).random((batch_size, *model.input_shape), np.float32)
    return _best(lambda: trainer.train_on_batch(batch, batch), repeats) * 1000 / (batch_size * model.chunk_s)


def _best(work: Callable[[], object], repeats: int) -> float:
    """Seconds of CPU time of the fastest of `repeats` calls, after one to warm up."""
    work()
    times = []
    for _ in range(repeats):
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


if __name__ == "__main__":
    main()
