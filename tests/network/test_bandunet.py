"""The fast network: shapes, invariances, and that it learns and travels."""

import numpy as np
import pytest

from splitstrument.errors import SettingsError
from splitstrument.network.settings import BandUnetSettings, ModelSettings, SpectrogramSettings
from splitstrument.settings import validate

keras = pytest.importorskip("keras")
from keras import ops  # noqa: E402

from splitstrument.network import bandunet  # noqa: E402
from splitstrument.network.registry import build_network  # noqa: E402

SMALL = BandUnetSettings(folds=(2, 4), width=8, growth=4, levels=2, bottleneck=4)
SHAPE = (65, 16, 1)


@pytest.fixture(scope="module")
def network():
    """A small network with initial weights."""
    return bandunet.build_bandunet(SMALL, SHAPE, seed=1)


@pytest.fixture
def magnitudes(rng):
    """Three chunks."""
    return (rng.random((3, *SHAPE)) ** 3).astype(np.float32)


def test_masks_have_the_shape_of_the_input_and_stay_between_0_and_1(magnitudes):
    for outputs in (1, 3):
        settings = SMALL.model_copy(update={"outputs": outputs})
        masks = bandunet.build_bandunet(settings, SHAPE)(magnitudes).numpy()
        assert masks.shape == (3, 65, 16, outputs)
        assert masks.min() >= 0
        assert masks.max() <= 1
        np.testing.assert_array_equal(masks[:, 0], masks[:, 1])


@pytest.mark.parametrize("gain_db", [-60, -20, 20])
def test_masks_do_not_depend_on_the_level(network, magnitudes, gain_db):
    louder = magnitudes * np.float32(10 ** (gain_db / 20))
    np.testing.assert_allclose(network(louder), network(magnitudes), atol=2e-4)


def test_each_chunk_of_a_batch_is_on_its_own(network, magnitudes):
    alone = np.concatenate([network(magnitudes[row : row + 1]) for row in range(3)])
    np.testing.assert_allclose(network(magnitudes), alone, atol=1e-5)


def test_silence_gives_finite_masks(network):
    assert np.isfinite(network(np.zeros((1, *SHAPE), np.float32))).all()


def test_members_are_networks_of_their_own_whose_masks_are_averaged(magnitudes, tmp_path):
    """Each takes the weights of a network with one member, and they are saved and loaded together."""
    singles = [bandunet.build_bandunet(SMALL, SHAPE, seed) for seed in (5, 6)]
    several = SMALL.model_copy(update={"members": 2})
    together = bandunet.build_bandunet(several, SHAPE)
    for index, single in enumerate(singles):
        bandunet.member_of(together, index).set_weights(single.get_weights())
    together.save_weights(tmp_path / "both.weights.h5")
    loaded = bandunet.build_bandunet(several, SHAPE, seed=9)
    loaded.load_weights(tmp_path / "both.weights.h5")
    mean = (singles[0](magnitudes).numpy() + singles[1](magnitudes).numpy()) / 2
    np.testing.assert_allclose(loaded(magnitudes), mean, atol=1e-6)
    assert np.abs(singles[0](magnitudes).numpy() - mean).max() > 0.01


def test_the_same_seed_gives_the_same_weights(network):
    again, other = bandunet.build_bandunet(SMALL, SHAPE, seed=1), bandunet.build_bandunet(SMALL, SHAPE, seed=2)
    for ours, theirs in zip(network.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert any(not np.array_equal(a, b) for a, b in zip(network.get_weights(), other.get_weights(), strict=True))


@pytest.mark.parametrize(("fold", "time_fold", "outputs"), [(1, 1, 1), (4, 1, 1), (2, 4, 1), (4, 2, 3)])
def test_unfold_puts_every_bin_and_frame_back(rng, fold, time_fold, outputs):
    """Folding each output by itself and side by side, unfolding gives what was there."""
    x = rng.random((2, 16, 8, outputs)).astype(np.float32)
    folded = [np.asarray(bandunet._fold(ops.convert_to_tensor(x[..., i : i + 1]), fold, time_fold))
              for i in range(outputs)]  # fmt: skip
    back = bandunet._unfold(ops.convert_to_tensor(np.stack(folded, -1).reshape(*folded[0].shape[:3], -1)),
                            fold, time_fold, outputs, 8)  # fmt: skip
    np.testing.assert_array_equal(np.asarray(back), x)


def test_frequency_dense_is_a_dense_layer_along_the_rows(rng):
    layer = bandunet.FrequencyDense(5)
    x = rng.standard_normal((2, 7, 3, 4)).astype(np.float32)
    y = np.asarray(layer(x))
    layer.bias.assign(np.arange(5, dtype=np.float32)[:, None])
    expected = np.einsum("uf,bftc->butc", np.asarray(layer.kernel), x)
    np.testing.assert_allclose(y, expected, atol=1e-5)
    np.testing.assert_allclose(layer(x), expected + np.arange(5)[:, None, None], atol=1e-5)


def test_a_saved_model_loads_and_computes_the_same(network, magnitudes, tmp_path):
    network.save(tmp_path / "whole.keras")
    loaded = keras.models.load_model(tmp_path / "whole.keras")
    np.testing.assert_array_equal(loaded(magnitudes), network(magnitudes))


def test_onnx_computes_the_same(network, magnitudes, tmp_path):
    onnxruntime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnx")
    network.export(str(tmp_path / "model.onnx"), format="onnx", verbose=False)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx", providers=["CPUExecutionProvider"])
    (masks,) = session.run(None, {session.get_inputs()[0].name: magnitudes})
    np.testing.assert_allclose(masks, network(magnitudes), atol=1e-5)


def test_it_learns_to_tell_low_from_high(rng):
    """A few dozen steps halve the error of the best constant mask."""
    spectrum = np.linspace(1, 0, 64) ** 2
    low, high = (rng.random((16, 64, 16, 1)) * shape[:, None, None] for shape in (spectrum, spectrum[::-1]))
    pad = lambda x: np.pad(x, ((0, 0), (1, 0), (0, 0), (0, 0))).astype(np.float32)  # noqa: E731
    mixture, target = pad(low + high), pad(low)
    network = bandunet.build_bandunet(SMALL, SHAPE, seed=3)
    inputs = keras.Input(SHAPE)
    trainer = keras.Model(inputs, inputs * network(inputs))
    trainer.compile(optimizer=keras.optimizers.Adam(5e-3), loss="mse", jit_compile=False)
    trainer.fit(mixture, target, batch_size=4, epochs=12, verbose=0)
    constant = min(np.mean((target - share * mixture) ** 2) for share in np.linspace(0, 1, 21))
    assert trainer.evaluate(mixture, target, verbose=0) < constant / 2


def test_the_shipped_form_is_small():
    """1,024 bins become 256 rows, as the module says, and the model is built from its settings."""
    settings = ModelSettings(
        spectrogram=SpectrogramSettings(n_fft=2048, hop_length=512), n_frames=128, network=BandUnetSettings()
    )
    assert sum((stop - start) // fold for start, stop, fold in settings.network.bands(1024)) == 256
    assert settings.network.n_bins_of(256) == 1024
    network = build_network(settings)
    assert network.output_shape == (None, 1025, 128, 1)
    assert network.count_params() < 600_000


@pytest.mark.parametrize(("network", "n_frames", "message"), [
    ({"folds": [3, 4]}, 16, "divide into 2 bands"),
    ({"folds": [1, 1, 1]}, 16, "divide into 3 bands"),
    ({"folds": [2, 4], "levels": 5}, 64, "rows.*divisible by 2.levels = 32"),
    ({"folds": [2, 4], "levels": 2}, 20, "n_frames = 20 must be divisible by time_fold"),
])  # fmt: skip
def test_sizes_that_do_not_fit_are_refused(network, n_frames, message):
    data = {"spectrogram": {"n_fft": 128}, "n_frames": n_frames, "network": {"kind": "bandunet", **network}}
    with pytest.raises(SettingsError, match=message):
        validate(data, ModelSettings, "recipe.yaml")
