"""Import of Keras 2 models: the real model.json of the thesis, with random weights in Keras 2's own file layout."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import pytest

from splitstrument.cli import main
from splitstrument.errors import ModelError
from splitstrument.model_folder import read_model_folder
from splitstrument.reproduction.keras2_import import LayerGraph, import_keras2, read_graph, settings_of
from splitstrument.separation.engines import open_engine

h5py = pytest.importorskip("h5py")
pytest.importorskip("keras")

# the published widths, made small; the graph stays the published one
NARROW = {192: 4, 64: 2, 128: 3, 256: 5, 1: 1}


@pytest.fixture
def published(shared_data):
    return json.loads((shared_data / "thesis/models/guitar/model.json").read_text())


@pytest.fixture
def small(published):
    """The published model.json with narrow layers and a small input."""
    for layer in published["config"]["layers"]:
        if layer["class_name"] == "Conv2D":
            layer["config"]["filters"] = NARROW[layer["config"]["filters"]]
        if layer["class_name"] == "InputLayer":
            layer["config"]["batch_input_shape"] = [None, 65, 64, 1]
    return published


def random_weights(rng, model) -> dict[str, dict[str, np.ndarray]]:
    """Weights by layer, with shapes derived from the JSON alone."""
    graph = LayerGraph(model["config"])
    width: dict[str, int] = {}
    weights = {}
    for name in graph.names():
        inbound = graph.inputs[name]
        width[name] = width[inbound[0]] if inbound else 1
        config = graph.layers[name]["config"]
        if graph.kind(name) == "Conv2D":
            shape = (*config["kernel_size"], width[name], config["filters"])
            width[name] = config["filters"]
            scale = (2 / np.prod(shape[:3])) ** 0.5
            weights[name] = {"kernel": rng.normal(0, scale, shape), "bias": rng.normal(0, 0.1, shape[-1:])}
        elif graph.kind(name) == "BatchNormalization":
            size = (width[name],)
            weights[name] = {
                "gamma": rng.uniform(0.5, 1.5, size),
                "beta": rng.normal(0, 0.2, size),
                "moving_mean": rng.normal(0, 0.2, size),
                "moving_variance": rng.uniform(0.5, 1.5, size),
            }
    return weights


def write_keras2(folder, model, weights):
    """Write a folder as Keras 2 wrote it."""
    folder.mkdir(exist_ok=True)
    (folder / "model.json").write_text(json.dumps(model))
    with h5py.File(folder / "weights.h5", "w") as file:
        for layer, arrays in weights.items():
            for name, values in arrays.items():
                file[f"{layer}/{layer}/{name}:0"] = values.astype(np.float32)
    return folder


def forward(model, weights, chunk):
    """The graph of the JSON, computed layer by layer in NumPy for one chunk (n_bins, n_frames)."""
    graph = LayerGraph(model["config"])
    values = {}
    for name in graph.names():
        inputs = [values[inbound] for inbound in graph.inputs[name]]
        config, kind, x = graph.layers[name]["config"], graph.kind(name), inputs[0] if inputs else None
        if kind == "InputLayer":
            values[name] = chunk[..., None].astype(np.float64)
        elif kind == "Conv2D":
            kernel, bias = weights[name]["kernel"], weights[name]["bias"]
            half = kernel.shape[0] // 2
            padded = np.pad(x, ((half, half), (half, half), (0, 0)))
            y = np.zeros((*x.shape[:2], kernel.shape[-1])) + bias
            for row in range(kernel.shape[0]):
                for column in range(kernel.shape[1]):
                    y += padded[row : row + x.shape[0], column : column + x.shape[1]] @ kernel[row, column]
            values[name] = np.maximum(y, 0) if config["activation"] == "relu" else y
        elif kind == "BatchNormalization":
            w = weights[name]
            scale = w["gamma"] / np.sqrt(w["moving_variance"] + config["epsilon"])
            values[name] = (x - w["moving_mean"]) * scale + w["beta"]
        elif kind == "MaxPooling2D":
            values[name] = x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1).max(axis=(1, 3))
        elif kind == "UpSampling2D":
            values[name] = x.repeat(2, axis=0).repeat(2, axis=1)
        elif kind == "Add":
            values[name] = inputs[0] + inputs[1]
        elif kind == "Cropping2D":
            values[name] = x[1:]
        elif kind == "ZeroPadding2D":
            values[name] = np.pad(x, ((1, 0), (0, 0), (0, 0)))
        else:
            values[name] = x  # Dropout
    return values[graph.output][..., 0]


def test_same_output_as_the_keras_2_graph(rng, tmp_path, small):
    weights = random_weights(rng, small)
    old, new = write_keras2(tmp_path / "old", small, weights), tmp_path / "new"
    with pytest.raises(SystemExit) as end:
        main(["models", "import", str(old), str(new), "--target", "piano", "--name", "grandfather"])
    folder = read_model_folder(new)
    assert not end.value.code and folder.description.name == "grandfather" and folder.settings.target == "piano"
    chunk = rng.random((65, 64)).astype(np.float32)
    mask = open_engine(folder, "keras").predict(chunk[None, ..., None])[0, ..., 0]
    expected = forward(small, weights, chunk)
    assert np.abs(mask - expected).max() < 1e-4 * np.abs(expected).max()
    assert np.std(expected) > 0.01


@pytest.mark.parametrize("instrument", ["guitar", "piano"])
def test_the_published_models_are_the_thesis_network(shared_data, instrument):
    path = shared_data / f"thesis/models/{instrument}/model.json"
    settings = settings_of(read_graph(path), path, instrument, 22050)
    assert settings.spectrogram.n_fft == 1536 and settings.n_frames == 64
    assert settings.network.filters == 192 and settings.network.levels == 6
    assert settings.network.initial_widths == (64, 128, 128, 128, 256) and settings.network.end_width == 256


def test_damaged_and_hostile_files_are_refused(rng, tmp_path, small):
    weights = random_weights(rng, small)

    def refused(match, model=small, arrays=weights, spoil=None):
        folder = write_keras2(tmp_path / "old", model, arrays)
        if spoil:
            spoil(folder)
        with pytest.raises(ModelError, match=match) as caught:
            import_keras2(folder, tmp_path / "new", "guitar")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "new").exists()

    def changed(change):
        model = json.loads(json.dumps(small))
        change(model["config"]["layers"])
        return model

    def lambda_layer(layers):
        layers[5]["class_name"] = "Lambda"

    def other_kernel(layers):
        layers[8]["config"]["kernel_size"] = [5, 5]

    refused("not the stacked hourglass", changed(lambda_layer))
    refused("not the stacked hourglass", changed(other_kernel))
    refused("no functional Keras 2 model", {"config": [1, 2]})
    refused("no functional Keras 2 model", {"config": {"layers": [], "output_layers": []}})
    refused("no functional Keras 2 model", spoil=lambda folder: (folder / "model.json").write_text("[" * 10000))
    refused("cannot be read as HDF5", spoil=lambda folder: (folder / "weights.h5").write_bytes(b"\x80\x04pickle"))
    refused("has no weights.h5", spoil=lambda folder: (folder / "weights.h5").unlink())
    fewer = {layer: arrays for layer, arrays in weights.items() if layer != "conv2d_7"}
    refused("has no array 'conv2d_7", arrays=fewer)
    wrong = {**weights, "conv2d": {**weights["conv2d"], "bias": np.zeros(9)}}
    refused("should be a float array", arrays=wrong)
    broken = {**weights, "conv2d": {**weights["conv2d"], "bias": np.full(2, np.nan)}}
    refused("not numbers", arrays=broken)

    def link_outside(folder):
        with h5py.File(folder / "weights.h5", "a") as file:
            del file["conv2d/conv2d/bias:0"]
            file["conv2d/conv2d/bias:0"] = h5py.ExternalLink("/etc/passwd", "/")

    refused("has no array 'conv2d/conv2d/bias:0'", spoil=link_outside)


TF_KERAS_SCRIPT = """
import sys, numpy as np, tf_keras
model = tf_keras.models.model_from_json(open(sys.argv[1]).read())
rng = np.random.default_rng(1)
for layer in model.layers:
    values = []
    for variable in layer.weights:
        shape = tuple(variable.shape)
        positive = "gamma" in variable.name or "variance" in variable.name
        scale = (2 / max(1, np.prod(shape[:-1]))) ** 0.5 if len(shape) == 4 else 0.1
        values.append(rng.uniform(0.5, 1.5, shape) if positive else rng.normal(0, scale, shape))
    layer.set_weights(values)
model.save_weights(sys.argv[2] + "/weights.h5")
chunk = rng.random((1, *model.input_shape[1:])).astype("float32")
np.savez(sys.argv[2] + "/answer.npz", chunk=chunk, mask=model.predict_on_batch(chunk))
"""


@pytest.mark.slow
def test_same_output_as_keras_2_itself(tmp_path, shared_data):
    """The published F = 192 network through tf_keras; name its folder in TF_KERAS_PATH (see docs/separation.md)."""
    place = os.environ.get("TF_KERAS_PATH")
    if not place:
        pytest.skip("needs TF_KERAS_PATH: pip install --no-deps --target FOLDER tf_keras")
    source = shared_data / "thesis/models/guitar/model.json"
    (tmp_path / "old").mkdir()
    (tmp_path / "old" / "model.json").write_text(source.read_text())
    environment = {**os.environ, "PYTHONPATH": place, "TF_CPP_MIN_LOG_LEVEL": "3"}
    arguments = [sys.executable, "-c", TF_KERAS_SCRIPT, str(source), str(tmp_path / "old")]
    subprocess.run(arguments, check=True, env=environment)
    answer = np.load(tmp_path / "old" / "answer.npz")
    folder = import_keras2(tmp_path / "old", tmp_path / "new", "guitar")
    mask = open_engine(folder, "keras").predict(answer["chunk"])
    error_db = 10 * np.log10(np.sum((mask - answer["mask"]) ** 2) / np.sum(answer["mask"] ** 2) + 1e-30)
    print(f"difference to Keras 2: {error_db:.1f} dB")
    assert error_db < -100
    assert np.std(answer["mask"]) > 1e-3
