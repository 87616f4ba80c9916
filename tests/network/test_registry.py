"""Every kind of network keeps one contract; a package of the user's own adds one whose settings are checked as ours."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from plugin_package import install_package

from splitstrument.errors import SettingsError
from splitstrument.network.registry import NETWORKS, build_network
from splitstrument.network.settings import ModelSettings
from splitstrument.settings import validate

SMALL = {
    "hourglass": {"filters": 4, "levels": 2, "initial_widths": [4], "end_width": 4},
    "bandunet": {"folds": [2, 4], "levels": 2, "width": 4, "growth": 0, "bottleneck": 2},
}
PLUGIN = """
from typing import Literal
from pydantic import Field
from splitstrument.network.kinds import NetworkSettings
from splitstrument.network.registry import NetworkKind

class OneConvolution(NetworkSettings):
    kind: Literal["one_convolution"] = "one_convolution"
    width: int = Field(3, ge=1, le=9)

def build(settings, input_shape, seed):
    import keras
    inputs = keras.Input(input_shape)
    conv = keras.layers.Conv2D(settings.outputs, settings.width, padding="same", activation="sigmoid")
    return keras.Model(inputs, conv(inputs))

def build_wrong(settings, input_shape, seed):
    import keras
    inputs = keras.Input(input_shape)
    return keras.Model(inputs, keras.layers.Flatten()(inputs))

KIND, WRONG = NetworkKind(OneConvolution, build), NetworkKind(OneConvolution, build_wrong)
"""
GROUP = "splitstrument.networks"


def model_of(kind: str, **changes) -> dict:
    return {
        "spectrogram": {"sample_rate_hz": 8000, "n_fft": 128},
        "n_frames": 16,
        "network": {"kind": kind, **SMALL.get(kind, {}), **changes},
    }


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Two networks of a package of somebody's own."""
    points = {"one_convolution": "user_networks:KIND", "wrong": "user_networks:WRONG"}
    install_package(tmp_path, "user-networks", {"user_networks.py": PLUGIN}, {GROUP: points})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(NETWORKS.__dict__, "plugins", type(NETWORKS)("network", GROUP, NETWORKS.table).plugins)
    yield
    sys.modules.pop("user_networks", None)


@pytest.mark.parametrize("kind", NETWORKS.table)
def test_every_kind_keeps_the_contract(kind, rng):
    """Settings survive a file, a seed gives the weights, masks have the chunk's shape and are finite."""
    pytest.importorskip("keras")
    model = validate(model_of(kind), ModelSettings, "the model")
    assert model.network.kind == kind and type(model.network) is NETWORKS.get(kind).settings
    assert validate(model.model_dump(mode="json", exclude_none=True), ModelSettings, "its dump") == model
    with pytest.raises(SettingsError, match="unknown key 'network.nonsense'"):
        validate(model_of(kind, nonsense=1), ModelSettings, "the model")
    one, same, other = (build_network(model, seed) for seed in (1, 1, 2))
    weights = [[np.asarray(weight) for weight in network.weights] for network in (one, same, other)]
    assert all(np.array_equal(a, b) for a, b in zip(weights[0], weights[1], strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(weights[0], weights[2], strict=True))
    masks = one.predict_on_batch(rng.random((2, *model.input_shape), np.float32))
    assert masks.shape == (2, 65, 16, 1) and np.isfinite(masks).all()


@pytest.mark.parametrize("kind", NETWORKS.table)
def test_settings_import_no_framework(kind):
    code = (
        "import sys; from splitstrument.network.settings import ModelSettings; "
        f"ModelSettings.model_validate({model_of(kind)!r}); print('keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"


def test_a_key_of_another_kind_is_unknown_and_near_ones_are_suggested():
    with pytest.raises(SettingsError, match="unknown key 'network.filtrs'; did you mean 'filters'"):
        validate(model_of("hourglass", filtrs=3), ModelSettings, "the model")
    with pytest.raises(SettingsError, match=r"no network 'bandnet' \(did you mean 'bandunet'\?\)"):
        validate(model_of("bandnet"), ModelSettings, "the model")
    with pytest.raises(SettingsError, match="'kind' is missing: choose one of hourglass, bandunet"):
        validate({"network": {"filters": 3}}, ModelSettings, "the model")


def test_a_network_of_a_package_is_checked_and_built(plugin, rng):
    pytest.importorskip("keras")
    model = validate(model_of("one_convolution", width=5), ModelSettings, "the model")
    assert build_network(model).count_params() == 26
    assert validate(model.model_dump(mode="json"), ModelSettings, "its dump") == model
    with pytest.raises(SettingsError, match=r"'network.width': .*less than or equal to 9 \(received 99\)"):
        validate(model_of("one_convolution", width=99), ModelSettings, "the model")
    with pytest.raises(SettingsError, match="unknown key 'network.widht'; did you mean 'width'"):
        validate(model_of("one_convolution", widht=1), ModelSettings, "the model")


def test_a_network_that_gives_no_masks_is_one_sentence(plugin):
    pytest.importorskip("keras")
    model = validate(model_of("one_convolution"), ModelSettings, "the model")
    model = model.model_copy(update={"network": model.network.model_copy(update={"kind": "wrong"})})
    with pytest.raises(SettingsError, match=r"'wrong' gives masks of shape .*instead of \(None, 65, 16, 1\)"):
        build_network(model)
