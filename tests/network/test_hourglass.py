"""The network of the thesis, number by number."""

from __future__ import annotations

import hashlib
import json
from functools import cache

import numpy as np
import pytest

from splitstrument.errors import SettingsError
from splitstrument.network.settings import HourglassSettings, ModelSettings, SpectrogramSettings
from splitstrument.settings import validate

keras = pytest.importorskip("keras")

from splitstrument.network.registry import build_network  # noqa: E402

SMALL = HourglassSettings(filters=4, levels=3, initial_widths=(3, 5), end_width=6)


def small_model(**changes) -> ModelSettings:
    network = SMALL.model_copy(update=changes)
    return ModelSettings(spectrogram=SpectrogramSettings(n_fft=64), n_frames=16, network=network)


def count(weights) -> int:
    return sum(int(np.prod(weight.shape)) for weight in weights)


# thesis section 5 and published.yaml; non-trainable from the published model.json (F = 192)
@pytest.mark.parametrize(("filters", "parameters"), [(256, 12_546_689), (192, 7_713_857), (92, 2_671_757)])
def test_trainable_parameters_as_published(filters, parameters):
    network = build_network(ModelSettings(network=HourglassSettings(filters=filters)))
    assert count(network.trainable_weights) == parameters
    # the formula checked by hand from the layer list
    assert parameters == 153 * filters**2 + 6969 * filters + 735_617


@pytest.mark.parametrize("n_fft", [512, 1024, 1536, 2048])
def test_every_n_fft_of_the_thesis_builds(n_fft):
    model = ModelSettings(spectrogram=SpectrogramSettings(n_fft=n_fft))
    assert build_network(model).output_shape == (None, n_fft // 2 + 1, 64, 1)


def test_layer_graph_equals_the_published_model(shared_data):
    published = json.loads((shared_data / "thesis/models/guitar/model.json").read_text())["config"]
    network = build_network(ModelSettings(network=HourglassSettings(filters=192)))
    assert graph_signature(network.get_config()) == graph_signature(published)
    kernels = [(layer["config"]["filters"], layer["config"]["kernel_size"]) for layer in published["layers"]
               if layer["class_name"] == "Conv2D"]  # fmt: skip
    ours = [
        (layer.filters, list(layer.kernel_size)) for layer in network.layers if isinstance(layer, keras.layers.Conv2D)
    ]
    assert sorted(ours) == sorted(kernels)


def graph_signature(config) -> str:
    """The network as nested text from the output back to the input: equal text means equal layers and wiring."""
    layers = {layer["config"]["name"]: layer for layer in config["layers"]}

    @cache
    def signature(name: str) -> str:
        layer = layers[name]
        inside = sorted(signature(inbound) for inbound in inbound_names(layer["inbound_nodes"]))
        digest = hashlib.sha256(repr((layer_signature(layer), inside)).encode()).hexdigest()
        return f"{layer['class_name']}:{digest}"

    outputs = config["output_layers"]
    return signature(outputs[0][0] if isinstance(outputs[0], list) else outputs[0])


def layer_signature(layer):
    """What decides a layer's arithmetic, in the words of Keras 2 and 3."""
    wanted = ("filters", "kernel_size", "strides", "padding", "use_bias", "activation", "momentum", "epsilon", "rate",
              "pool_size", "size", "interpolation", "cropping")  # fmt: skip
    config = layer["config"]
    # a ReLU may stand inside the convolution or behind it: both are named by the layer that has it
    return layer["class_name"], json.dumps({key: config[key] for key in wanted if key in config}, sort_keys=True)


def inbound_names(nodes):
    """Names of the layers that feed a node, from Keras 2 lists or Keras 3 dictionaries."""
    if not nodes:
        return []
    if isinstance(nodes[0], dict):
        found = []

        def walk(value):
            if isinstance(value, dict):
                if value.get("class_name") == "__keras_tensor__":
                    found.append(value["config"]["keras_history"][0])
                else:
                    for inner in value.values():
                        walk(inner)
            elif isinstance(value, list | tuple):
                for inner in value:
                    walk(inner)

        walk(nodes[0]["args"])
        return found
    return [inbound[0] for inbound in nodes[0]]


def test_dc_is_always_masked_out(rng):
    masks = build_network(small_model())(rng.random((2, 33, 16, 1), np.float32))
    masks = np.asarray(masks)
    assert masks.shape == (2, 33, 16, 1)
    assert (masks[:, 0] == 0).all()
    assert (masks[:, 1:] != 0).any()


def test_several_modules_and_outputs(rng):
    network = build_network(small_model(modules=4, outputs=2))
    masks = network(rng.random((1, 33, 16, 1), np.float32))
    assert [tuple(mask.shape) for mask in masks] == [(1, 33, 16, 2)] * 4
    with_one = count(build_network(small_model(outputs=2)).trainable_weights)
    assert count(network.trainable_weights) > 3 * with_one


def test_the_same_seed_gives_the_same_weights():
    first, again, other = (build_network(small_model(), seed=seed).get_weights() for seed in (5, 5, 6))
    assert all(np.array_equal(a, b) for a, b in zip(first, again, strict=True))
    assert any(not np.array_equal(a, b) for a, b in zip(first, other, strict=True))


def test_saves_loads_and_compares_equal(tmp_path, rng):
    network = build_network(small_model(), seed=1)
    chunk = rng.random((2, 33, 16, 1), np.float32)
    expected = np.asarray(network(chunk, training=False))
    network.save_weights(tmp_path / "best.weights.h5")
    other = build_network(small_model(), seed=2)
    assert not np.allclose(np.asarray(other(chunk, training=False)), expected)
    other.load_weights(tmp_path / "best.weights.h5")
    assert np.array_equal(np.asarray(other(chunk, training=False)), expected)
    network.save(tmp_path / "whole.keras")
    whole = keras.models.load_model(tmp_path / "whole.keras", safe_mode=True)
    assert np.array_equal(np.asarray(whole(chunk, training=False)), expected)


def test_input_that_cannot_be_halved_is_refused_with_the_reason():
    recipe = {"spectrogram": {"n_fft": 1000}}
    with pytest.raises(SettingsError, match=r"n_fft / 2 = 500 must be divisible by 2\^levels = 64"):
        validate(recipe, ModelSettings, "recipe.yaml")
    with pytest.raises(ValueError, match="Received: input_shape"):
        from splitstrument.network.hourglass import build_hourglass

        build_hourglass(SMALL, (34, 16, 1))
