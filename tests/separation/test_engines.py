"""Every engine gives what Keras gives; the export says so."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from tiny_models import band_settings, music, reference_mask, tiny_model, tiny_settings

from splitstrument.audio import write
from splitstrument.errors import ModelError, SettingsError
from splitstrument.model_folder import ModelDescription, read_model_folder, write_model_folder
from splitstrument.network.settings import ModelSettings
from splitstrument.separation.engines import ENGINES, open_engine


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_engines_agree_with_numpy(rng, tmp_path, engine):
    pytest.importorskip(engine)
    folder = tiny_model(tmp_path / "m")
    chunks = rng.random((3, *folder.settings.input_shape), np.float32)
    masks = open_engine(folder, engine, threads=1).predict(chunks)
    assert masks.dtype == np.float32
    for chunk, mask in zip(chunks, masks, strict=True):
        assert np.abs(mask[..., 0] - reference_mask(chunk[..., 0])).max() < 1e-5


def test_chunks_side_by_side_are_the_chunks_one_by_one(rng, tmp_path):
    folder = tiny_model(tmp_path / "m")
    chunks = rng.random((5, *folder.settings.input_shape), np.float32)
    one_by_one = np.concatenate([open_engine(folder, threads=1).predict(chunk[None]) for chunk in chunks])
    for threads, at_once, tolerance in ((1, 1, 0), (2, 2, 0), (4, 4, 0), (6, 3, 1e-6), (14, 3, 1e-6)):
        engine = open_engine(folder, threads=threads)
        assert engine.chunks_at_once == at_once
        assert np.abs(engine.predict(chunks) - one_by_one).max() <= tolerance


def test_unknown_engine(tmp_path):
    with pytest.raises(SettingsError, match="choose one of onnxruntime"):
        open_engine(tiny_model(tmp_path / "m"), "abacus")


def test_int8_is_calibrated_and_close(rng, tmp_path):
    from splitstrument.model_tools.int8 import export_int8

    folder = tiny_model(tmp_path / "m")
    write(tmp_path / "song.wav", music(rng, 44100), 44100)
    write(tmp_path / "silence.wav", np.zeros((44100, 1), np.float32), 44100)
    with pytest.raises(SettingsError, match="nothing audible"):
        export_int8(folder, [tmp_path / "silence.wav"])
    folder = export_int8(folder, [tmp_path / "song.wav"])
    chunks = rng.random((2, *folder.settings.input_shape), np.float32)
    exact = open_engine(folder, threads=1)
    assert exact.name == "onnxruntime"  # never int8 by itself
    masks = exact.predict(chunks)
    error = open_engine(folder, "onnxruntime-int8", threads=1).predict(chunks) - masks
    assert 0 < np.sum(error**2) < 10**-2.5 * np.sum(masks**2)


def _keras_model(path, settings: ModelSettings, seed=3):
    """A model folder with Keras weights that differ from their initial values everywhere."""
    pytest.importorskip("keras")
    from splitstrument.network.registry import build_network

    network = build_network(settings, seed)
    rng = np.random.default_rng(seed)
    for variable in network.weights:
        value = np.asarray(variable)
        if value.ndim == 1 and variable.dtype == "float32":
            variable.assign(value + rng.uniform(0.05, 0.3, value.shape))
    path.mkdir()
    network.save_weights(path / "best.weights.h5")
    write_model_folder(path, ModelDescription(name="random", model=settings), ["best.weights.h5"])
    return read_model_folder(path)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    from splitstrument.model_tools.onnx import export_onnx

    return export_onnx(_keras_model(tmp_path_factory.mktemp("keras") / "m", tiny_settings()))


def test_exporting_twice_gives_the_same_bytes(exported):
    """The process has made other networks since: layers count on."""
    from splitstrument.model_tools.onnx import export_onnx
    from splitstrument.network.registry import build_network

    before = (exported.path / "model.onnx").read_bytes()
    build_network(tiny_settings())
    export_onnx(exported)
    assert (exported.path / "model.onnx").read_bytes() == before


@pytest.fixture(scope="module", params=["thesis", "band"])
def in_every_form(request, tmp_path_factory):
    """The exported model, or one of several instruments in mid and side, with a file for every engine."""
    from splitstrument.model_tools.int8 import export_int8
    from splitstrument.model_tools.onnx import export_onnx

    folder = tmp_path_factory.mktemp("forms")
    if request.param == "thesis":
        model = request.getfixturevalue("exported")
    else:
        model = export_onnx(_keras_model(folder / "m", band_settings()))
    write(folder / "song.wav", music(np.random.default_rng(5), 44100), 44100)
    return export_int8(model, [folder / "song.wav"])


@pytest.mark.parametrize("name", ENGINES)
def test_every_engine_keeps_the_contract(rng, in_every_form, name):
    """Its name, masks of the network's shape whatever the number of chunks, and as exact as it says."""
    kind = ENGINES.get(name)
    pytest.importorskip(kind.package)
    assert kind.fits(in_every_form)
    engine = open_engine(in_every_form, name, threads=2)
    assert engine.name == name and engine.chunks_at_once >= 1
    chunks = rng.random((3, *in_every_form.settings.input_shape), np.float32)
    kept = chunks.copy()
    masks, reference = engine.predict(chunks), open_engine(in_every_form, "keras").predict(chunks)
    np.testing.assert_array_equal(chunks, kept)
    assert masks.dtype == np.float32 and masks.shape == reference.shape
    assert np.abs(engine.predict(chunks[:1]) - masks[:1]).max() < (1e-6 if kind.exact else 0.05)
    error_db = 10 * np.log10(max(np.sum((masks - reference) ** 2), 1e-30) / np.sum(reference**2))
    assert error_db < (-100 if kind.exact else -15)
    assert np.std(reference) > 0.01


def test_a_model_with_keras_weights_only_opens_in_keras(exported, tmp_path):
    description = exported.description
    (tmp_path / "best.weights.h5").write_bytes((exported.path / "best.weights.h5").read_bytes())
    write_model_folder(tmp_path, description, ["best.weights.h5"])
    assert open_engine(read_model_folder(tmp_path)).name == "keras"
    with pytest.raises(ModelError, match="models export"):
        open_engine(read_model_folder(tmp_path), "onnxruntime")


def test_keras_weights_of_another_network_are_refused(exported, tmp_path):
    other = tiny_settings().model_copy(update={"network": exported.settings.network.model_copy(update={"filters": 5})})
    (tmp_path / "best.weights.h5").write_bytes((exported.path / "best.weights.h5").read_bytes())
    write_model_folder(tmp_path, ModelDescription(name="m", model=other), ["best.weights.h5"])
    with pytest.raises(ModelError, match="does not fit the network"):
        open_engine(read_model_folder(tmp_path), "keras")


def test_onnx_runtime_keeps_no_records_of_what_it_runs(tmp_path):
    """From 1.29 on it collects telemetry by default, and marks the temporary folder when it does."""
    code = "import splitstrument, onnxruntime"
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "ORT_DISABLE_TELEMETRY")}
    for home in ("TMPDIR", "HOME", "XDG_CACHE_HOME"):
        environment[home] = str(tmp_path)
    subprocess.run([sys.executable, "-c", code], env=environment, check=True)
    assert not list(tmp_path.rglob("*"))


@pytest.mark.slow
def test_several_modules_and_outputs_are_exported(tmp_path):
    from splitstrument.model_tools.onnx import export_onnx

    network = tiny_settings().network.model_copy(update={"modules": 2, "outputs": 2})
    folder = export_onnx(_keras_model(tmp_path / "m", tiny_settings().model_copy(update={"network": network})))
    chunk = np.random.default_rng(0).random((1, *folder.settings.input_shape), np.float32)
    ours = open_engine(folder, "onnxruntime").predict(chunk)
    assert ours.shape == (*chunk.shape[:3], 2)
    assert np.abs(ours - open_engine(folder, "keras").predict(chunk)).max() < 1e-4


def test_the_default_comes_first_and_is_exact():
    assert next(iter(ENGINES)) == "onnxruntime"
