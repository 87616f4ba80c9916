"""Import of the thesis's Keras 2 models: ``model.json`` and weights in HDF5.

Both files are taken for hostile. The JSON is never executed (no Keras deserialisation, so no Lambda): it is read as a
graph, the settings of a hourglass are derived from it, and our own network with these settings must be the same graph,
layer by layer. From the HDF5 only plain float arrays of exactly the shapes that network has are read.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from splitstrument.errors import ModelError, missing_extra
from splitstrument.model_folder import (
    KERAS_FILES,
    ModelDescription,
    ModelFolder,
    read_model_folder,
    save_weights,
    write_model_folder,
)
from splitstrument.network.settings import HourglassSettings, ModelSettings, SpectrogramSettings
from splitstrument.settings import validate

JSON_FILE = "model.json"
WEIGHTS_FILES = ("weights.h5", "weights/weights.h5")
MAX_JSON_BYTES = 5_000_000
MAX_LAYERS = 3000
# what decides a layer's arithmetic; everything else (initializers, names, regularizers) does not matter here
ARITHMETIC = (
    "filters", "kernel_size", "strides", "padding", "dilation_rate", "groups", "activation", "use_bias",
    "axis", "epsilon", "center", "scale", "pool_size", "size", "interpolation", "cropping", "data_format",
)  # fmt: skip
WEIGHT_NAMES = {
    "Conv2D": ("kernel", "bias"),
    "BatchNormalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}


class LayerGraph:
    """The layers of a functional Keras model, by name, and what flows into each.

    Parameters
    ----------
    config
        ``config`` of a Keras 2 ``model.json``, or of a Keras 3 ``model.get_config()``.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.layers = {layer["config"]["name"]: layer for layer in config["layers"]}
        self.inputs = {name: _inbound(layer["inbound_nodes"]) for name, layer in self.layers.items()}
        output = config["output_layers"]
        self.output: str = output[0] if isinstance(output[0], str) else output[0][0]
        if len(self.layers) > MAX_LAYERS or len(self.layers) != len(config["layers"]):
            raise ValueError("too many layers, or two of one name")
        self.signature = cache(self._signature)

    def kind(self, name: str) -> str:
        """Class name of a layer."""
        return self.layers[name]["class_name"]

    def _signature(self, name: str) -> int:
        """Number that is equal for equal arithmetic of a layer and everything before it."""
        config = self.layers[name]["config"]
        own = json.dumps({key: _same_words(key, config[key]) for key in ARITHMETIC if key in config}, sort_keys=True)
        return hash((self.kind(name), own, tuple(sorted(self.signature(inbound) for inbound in self.inputs[name]))))

    def names(self) -> list[str]:
        """All layers before the output, the output last."""
        order: dict[str, None] = {}

        def visit(name: str) -> None:
            if name not in order:
                for inbound in self.inputs[name]:
                    visit(inbound)
                order[name] = None

        visit(self.output)
        return list(order)


def import_keras2(
    source: str | Path, destination: str | Path, target: str, sample_rate_hz: int = 22050, name: str | None = None
) -> ModelFolder:
    """Turn a Keras 2 model of the thesis into a model folder.

    Parameters
    ----------
    source
        Folder with ``model.json`` and ``weights.h5`` (or ``weights/weights.h5``).
    destination
        New folder; it gets ``best.weights.h5`` (Keras 3) and ``model.yaml``.

    Raises
    ------
    ModelError
        If a file is missing, damaged, or describes another network than the thesis's hourglass.
    """
    source, destination = Path(source), Path(destination)
    weights_path = next((source / file for file in WEIGHTS_FILES if (source / file).is_file()), None)
    if weights_path is None:
        raise ModelError(f"{source} has no {' or '.join(WEIGHTS_FILES)}: copy the weights there.")
    theirs = read_graph(source / JSON_FILE)
    try:
        from splitstrument.network.registry import build_network
    except ImportError:
        raise missing_extra("Importing a Keras 2 model", "train") from None
    settings = settings_of(theirs, source / JSON_FILE, target, sample_rate_hz)
    network = build_network(settings)
    pairs = pair_layers(theirs, LayerGraph(network.get_config()), source / JSON_FILE)
    arrays = read_weights(weights_path, theirs, {layer: network.get_layer(ours) for layer, ours in pairs.items()})
    for layer, values in arrays.items():
        network.get_layer(pairs[layer]).set_weights(values)
    save_weights(network, destination / KERAS_FILES[0])
    description = ModelDescription(
        name=name or destination.name, summary=f"Imported from the Keras 2 model {source.name}.", model=settings
    )
    write_model_folder(destination, description, [KERAS_FILES[0]])
    return read_model_folder(destination)


def read_graph(path: Path) -> LayerGraph:
    """Read a ``model.json`` as data.

    Raises
    ------
    ModelError
    """
    try:
        if path.stat().st_size > MAX_JSON_BYTES:
            raise ValueError("it is far too large")
        graph = LayerGraph(json.loads(path.read_text(encoding="utf-8"))["config"])
        graph.signature(graph.output)
        return graph
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}): copy the model's files again.") from None
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError) as error:
        raise ModelError(
            f"{path} is no functional Keras 2 model ({error}): expected the thesis's model.json."
        ) from None


def settings_of(graph: LayerGraph, path: Path, target: str, sample_rate_hz: int) -> ModelSettings:
    """Derive a hourglass's settings from the layers; `pair_layers` proves whether they were right."""
    try:
        order = graph.names()
        shape = graph.layers[order[0]]["config"]["batch_input_shape"]
        convolutions = [graph.layers[name]["config"] for name in order if graph.kind(name) == "Conv2D"]
        dropouts = [graph.layers[name]["config"]["rate"] for name in order if graph.kind(name) == "Dropout"]
        kinds = [graph.kind(name) for name in order]
        first_pool = kinds.index("MaxPooling2D")
        initial = _widths_before(graph, order[first_pool])
        network = {
            "kind": "hourglass",
            "filters": convolutions[len(initial) + 1]["filters"],
            "levels": kinds.count("MaxPooling2D"),
            "initial_widths": initial,
            "end_width": convolutions[-2]["filters"],
            "outputs": convolutions[-1]["filters"],
            "dropout": dropouts[0] if dropouts else 0.0,
            "batch_normalization": "BatchNormalization" in kinds,
        }
        n_fft, n_frames = 2 * (shape[1] - 1), shape[2]
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise _foreign(path, str(error)) from None
    return ModelSettings(
        target=target,
        spectrogram=SpectrogramSettings(sample_rate_hz=sample_rate_hz, n_fft=n_fft),
        n_frames=n_frames,
        network=validate(network, HourglassSettings, str(path)),
    )


def _widths_before(graph: LayerGraph, name: str) -> list[int]:
    """Filters of the convolutions in the single chain from the input to layer `name`."""
    widths = []
    while graph.inputs[name]:
        (name,) = graph.inputs[name]
        if graph.kind(name) == "Conv2D":
            widths.append(graph.layers[name]["config"]["filters"])
    return widths[::-1]


def pair_layers(theirs: LayerGraph, ours: LayerGraph, path: Path) -> dict[str, str]:
    """Their layer -> our layer, for all layers with weights.

    Raises
    ------
    ModelError
        If the graphs differ.
    """
    pairs: dict[str, str] = {}

    def walk(their: str, our: str) -> None:
        if their in pairs:
            return
        if theirs.signature(their) != ours.signature(our):
            raise _foreign(path, f"layer {their!r} or one before it differs")
        pairs[their] = our
        inbound = sorted(theirs.inputs[their], key=theirs.signature), sorted(ours.inputs[our], key=ours.signature)
        for pair in zip(*inbound, strict=True):
            walk(*pair)

    walk(theirs.output, ours.output)
    return {their: our for their, our in pairs.items() if theirs.kind(their) in WEIGHT_NAMES}


def read_weights(path: Path, graph: LayerGraph, layers: dict[str, Any]) -> dict[str, list[NDArray[np.float32]]]:
    """Read the arrays of `layers` (their name -> our Keras layer) from Keras 2's HDF5.

    Raises
    ------
    ModelError
        If an array is missing, of another shape, no float, or stored outside the file.
    """
    import h5py

    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            return {
                name: [
                    _read_array(root, f"{name}/{name}/{weight}:0", tuple(variable.shape), path)
                    for weight, variable in zip(WEIGHT_NAMES[graph.kind(name)], layer.weights, strict=True)
                ]
                for name, layer in layers.items()
            }
    except (OSError, RuntimeError, KeyError) as error:
        raise ModelError(f"{path} cannot be read as HDF5 weights ({_short(error)}): copy the file again.") from None


def _read_array(root: Any, key: str, shape: tuple[int, ...], path: Path) -> NDArray[np.float32]:
    import h5py

    place = root
    for part in key.split("/"):
        if not isinstance(place, h5py.Group) or not isinstance(place.get(part, getlink=True), h5py.HardLink):
            raise ModelError(f"{path} has no array {key!r}: these are the weights of another model.")
        place = place[part]
    if not isinstance(place, h5py.Dataset) or place.shape != shape or place.dtype.kind != "f" or place.external:
        raise ModelError(
            f"{path}: {key!r} should be a float array of shape {shape}: it is of another model or damaged."
        )
    values = np.asarray(place[()], np.float32)
    if not np.isfinite(values).all():
        raise ModelError(f"{path}: {key!r} holds values that are not numbers: the training had failed.")
    return values


def _same_words(key: str, value: Any) -> Any:
    """Keras 2 writes the last axis of an image as [3], Keras 3 as -1."""
    return "last" if key == "axis" and value in ([3], 3, -1) else value


def _inbound(nodes: Any) -> list[str]:
    """Names of the layers that flow into a layer, in the words of Keras 2 or 3."""
    if not nodes:
        return []
    if len(nodes) != 1:
        raise ValueError("a layer is used twice")
    if isinstance(nodes[0], dict):  # Keras 3: {"args": [tensor or [tensors]], ...}
        tensors = nodes[0]["args"][0]
        tensors = tensors if isinstance(tensors, list | tuple) else [tensors]
        return [tensor["config"]["keras_history"][0] for tensor in tensors]
    return [inbound[0] for inbound in nodes[0]]


def _foreign(path: Path, detail: str) -> ModelError:
    return ModelError(f"{path} is not the stacked hourglass of the thesis ({detail}): only that can be imported.")


def _short(error: Exception) -> str:
    return str(error).splitlines()[0][:150] if str(error) else type(error).__name__
