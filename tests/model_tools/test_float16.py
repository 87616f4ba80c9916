"""Weights files at half the size: nothing changes but their size."""

import numpy as np
import pytest

pytest.importorskip("keras")

from splitstrument.model_folder import ModelDescription, read_model_folder, write_model_folder
from splitstrument.model_tools.float16 import fits_half, halve_weights, rounded
from splitstrument.network.registry import build_network
from splitstrument.network.settings import BandUnetSettings, ModelSettings, SpectrogramSettings
from splitstrument.separation.engines import open_engine

MODEL = ModelSettings(
    spectrogram=SpectrogramSettings(sample_rate_hz=8000, n_fft=128),
    n_frames=16,
    normalisation="none",
    network=BandUnetSettings(folds=(2, 4), width=32, growth=16, levels=2, bottleneck=4),
)
WEIGHTS = "best.weights.h5"


@pytest.fixture
def folder(tmp_path):
    """A model whose kernels are rounded, in a file of full size."""
    network = build_network(MODEL, 3)
    network.set_weights(rounded(network.get_weights()))
    network.save_weights(tmp_path / WEIGHTS)
    write_model_folder(tmp_path, ModelDescription(name="m", model=MODEL), [WEIGHTS])
    return read_model_folder(tmp_path)


def test_a_halved_file_computes_the_same_and_is_smaller(folder, rng):
    chunks = rng.random((2, *MODEL.input_shape), np.float32)
    before, size = open_engine(folder, "keras").predict(chunks), folder.file(WEIGHTS).stat().st_size
    halve_weights(folder.file(WEIGHTS))
    write_model_folder(folder.path, folder.description, [WEIGHTS])
    halved = read_model_folder(folder.path)
    np.testing.assert_array_equal(open_engine(halved, "keras").predict(chunks), before)
    assert halved.file(WEIGHTS).stat().st_size < 0.75 * size


def test_rounding_changes_kernels_alone_and_by_little():
    weights = build_network(MODEL, 3).get_weights()
    for ours, theirs in zip(rounded(weights), weights, strict=True):
        if theirs.ndim < 2:
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_allclose(ours, theirs, rtol=2**-11, atol=1e-7)


@pytest.mark.parametrize(
    ("values", "fits"),
    [
        (np.full(1000, 0.5, np.float32), True),
        (np.full(1000, 0.1, np.float32), False),  # not a float16
        (np.full(1000, 1e6, np.float32), False),  # beyond its range
        (np.full(10, 0.5, np.float32), False),  # small
        (np.full(1000, 3, np.int64), False),
    ],
)
def test_only_what_loses_nothing_is_halved(values, fits):
    assert fits_half(values) is fits
