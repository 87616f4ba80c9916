"""Losses: zero where they should be, their scale, their gradient, and what each is for."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")
from keras import ops  # noqa: E402

from splitstrument.errors import SettingsError  # noqa: E402
from splitstrument.network.losses import magnitude, registry, spectrum  # noqa: E402
from splitstrument.network.losses.waveform import waveform  # noqa: E402
from splitstrument.network.settings import BandUnetSettings, ModelSettings, SpectrogramSettings  # noqa: E402
from splitstrument.spectrogram import frames_stft  # noqa: E402

N_FFT, HOP, N_FRAMES = 256, 64, 32
N_SAMPLES = N_FFT + HOP * (N_FRAMES - 1)
RATE_HZ = 8000


def model(outputs: int = 1) -> ModelSettings:
    """A small model."""
    network = BandUnetSettings(folds=(2, 4), levels=2, outputs=outputs)
    spectrogram = SpectrogramSettings(sample_rate_hz=RATE_HZ, n_fft=N_FFT, hop_length=HOP)
    return ModelSettings(spectrogram=spectrogram, n_frames=N_FRAMES, network=network)


def batch_of(instrument, rest):
    """Batch of waveforms (batch, n_samples), as the pipeline makes it."""
    ours, theirs = (frames_stft(np.ascontiguousarray(x.T), N_FFT, HOP) for x in (instrument, rest))
    pair = lambda stft: np.stack([stft.real, stft.imag], -1).astype(np.float32)  # noqa: E731
    energies = {"energy": ours, "rest_energy": theirs}
    return {
        "mixture": np.abs(ours + theirs)[..., None].astype(np.float32),
        "target": np.abs(ours)[..., None].astype(np.float32),
        "mixture_stft": pair(ours + theirs),
        "target_stft": pair(ours),
        **{name: np.sum(np.abs(stft) ** 2, axis=(1, 2))[:, None] for name, stft in energies.items()},
        "known": np.ones((len(ours), 1), np.float32),
    }


@pytest.fixture
def sounds():
    """A low tone and a high one, (2, n_samples) each: a mask can tell them apart all but perfectly."""
    t = np.arange(N_SAMPLES) / RATE_HZ
    low = np.stack([np.sin(2 * np.pi * hz * t) for hz in (300, 500)]).astype(np.float32)
    high = np.stack([np.sin(2 * np.pi * hz * t) for hz in (2000, 3000)]).astype(np.float32)
    return 0.3 * low, 0.2 * high


@pytest.fixture
def batch(sounds):
    """The batch of `sounds`."""
    return batch_of(*sounds)


def ideal_mask(batch):
    """The best mask for magnitudes, at most 1."""
    return np.clip(batch["target"] / np.maximum(batch["mixture"], 1e-9), 0, 1)


def value(name, batch, mask, options=None, outputs=1):
    """The loss as a number."""
    return float(registry.make_loss(name, options or {}, model(outputs))(batch, ops.convert_to_tensor(mask)))


@pytest.mark.parametrize("name", registry.LOSSES)
def test_a_better_mask_costs_less(name, batch):
    """Ideal, mixed with all-pass, all-pass, and the reverse of the ideal: in this order."""
    ideal = ideal_mask(batch)
    masks = [ideal, 0.5 * ideal + 0.5, np.ones_like(ideal), 1 - ideal]
    values = [value(name, batch, mask.astype(np.float32)) for mask in masks]
    assert values == sorted(values)
    assert len(set(values)) == len(values)


# what multiplying mixture and target by 3 multiplies the loss by
SCALES = {"l11": 3, "l2": 9, "frequency_weighted": 3, "perceptual": 3**0.6, "energy_conserving": 3}


@pytest.mark.parametrize("name", registry.LOSSES)
def test_scale(name, batch, rng):
    """Sums of magnitudes grow as stated; relative losses do not depend on the level."""
    mask = rng.random(batch["mixture"].shape).astype(np.float32)
    louder = {key: array * (1 if key == "known" else 9 if "energy" in key else 3) for key, array in batch.items()}
    assert value(name, louder, mask) == pytest.approx(SCALES.get(name, 1) * value(name, batch, mask), rel=5e-3)


@pytest.mark.parametrize("name", registry.LOSSES)
def test_gradient_is_that_of_finite_differences(name, batch, rng):
    """Along a random direction, and finite everywhere."""
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the gradient tape is TensorFlow's")
    mask = rng.uniform(0.2, 0.8, batch["mixture"].shape).astype(np.float32)
    loss = registry.make_loss(name, {}, model())
    variable = tf.Variable(mask)
    with tf.GradientTape() as tape:
        result = loss(batch, variable)
    gradient = tape.gradient(result, variable).numpy()
    assert np.isfinite(gradient).all()
    direction, step = np.sign(gradient).astype(np.float32), 1e-3
    slope = (value(name, batch, mask + step * direction) - value(name, batch, mask - step * direction)) / (2 * step)
    assert slope == pytest.approx(np.abs(gradient).sum(), rel=0.02)


@pytest.mark.parametrize("name", registry.LOSSES)
@pytest.mark.parametrize("silent", ["instrument", "rest", "both"])
def test_silence_is_finite(name, silent, sounds):
    """Loss and gradient where instrument, rest or both are digital silence."""
    tf = pytest.importorskip("tensorflow")
    if keras.backend.backend() != "tensorflow":
        pytest.skip("the gradient tape is TensorFlow's")
    instrument, rest = sounds
    batch = batch_of(instrument * (silent == "rest"), rest * (silent == "instrument"))
    variable = tf.Variable(np.full(batch["mixture"].shape, 0.5, np.float32))
    with tf.GradientTape() as tape:
        result = registry.make_loss(name, {}, model())(batch, variable)
    assert np.isfinite(float(result))
    assert np.isfinite(tape.gradient(result, variable).numpy()).all()


def test_l11_is_the_plain_sum(batch, rng):
    """As the thesis writes it."""
    mask = rng.random(batch["mixture"].shape).astype(np.float32)
    assert value("l11", batch, mask) == pytest.approx(np.abs(batch["target"] - batch["mixture"] * mask).sum(), rel=1e-5)


def test_losses_of_several_modules_add_up(batch, rng):
    """arXiv 1805.08559: a loss on each module."""
    masks = [rng.random(batch["mixture"].shape).astype(np.float32) for _ in range(2)]
    both = float(registry.make_loss("l11", {}, model())(batch, [ops.convert_to_tensor(mask) for mask in masks]))
    assert both == pytest.approx(sum(value("l11", batch, mask) for mask in masks), rel=1e-5)


def test_error_db_is_the_error_in_decibels(batch):
    """A mask of 0 leaves an error as strong as the target; one of 1, as strong as the rest."""
    power = lambda key: (batch[key].astype(np.float64) ** 2).sum(axis=(1, 2, 3))  # noqa: E731
    for mask, error in ((0, batch["target_stft"]), (1, batch["target_stft"] - batch["mixture_stft"])):
        expected = 10 * np.log10((error.astype(np.float64) ** 2).sum(axis=(1, 2, 3)) / power("mixture_stft")).mean()
        got = value("error_db", batch, np.full_like(batch["mixture"], mask), {"floor_db": -90})
        assert got == pytest.approx(expected, abs=1e-3)


def test_error_db_stops_at_its_floor(sounds):
    """A perfect estimate is worth the floor and no more."""
    alone = batch_of(sounds[0], 0 * sounds[1])
    assert value("error_db", alone, np.ones_like(alone["mixture"]), {"floor_db": -20}) == pytest.approx(-20, abs=1e-3)


def test_relative_error_with_a_power_is_the_mean_of_amplitude_ratios(batch, sounds):
    """`power` 0.5 against the definition, and finite where a chunk is all rest and the mask 0."""
    power = lambda stft: (stft.astype(np.float64) ** 2).sum(axis=(1, 2, 3))  # noqa: E731
    error = power(batch["target_stft"] - 0.3 * batch["mixture_stft"])
    expected = np.sqrt(error / power(batch["mixture_stft"]) + spectrum.SMALL_RATIO).mean()
    mask = np.full_like(batch["mixture"], 0.3)
    assert value("relative_error", batch, mask, {"power": 0.5, "emphasis": 0}) == pytest.approx(expected, rel=1e-5)
    without = batch_of(0 * sounds[0], sounds[1])
    silence = value("relative_error", without, np.zeros_like(without["mixture"]), {"power": 0.5})
    assert silence == pytest.approx(spectrum.SMALL_RATIO**0.5, rel=1e-3)


def test_si_sdr_is_the_published_formula(sounds, batch, rng):
    """Against the formula of Le Roux et al. on the waveforms."""
    mask = rng.random(batch["mixture"].shape).astype(np.float32)
    estimate = np.asarray(waveform(batch["mixture_stft"] * mask, model().spectrogram)).astype(np.float64)
    target = np.asarray(waveform(batch["target_stft"], model().spectrogram)).astype(np.float64)
    scaled = (estimate * target).sum(1, keepdims=True) / (target**2).sum(1, keepdims=True) * target
    expected = 10 * np.log10((scaled**2).sum(1) / ((estimate - scaled) ** 2).sum(1)).mean()
    assert value("si_sdr", batch, mask, {"floor_db": -90}) == pytest.approx(-expected, abs=0.01)


def test_waveform_inverts_the_spectrogram(rng):
    """Everywhere but at the very ends, on whatever backend runs the test."""
    audio = rng.standard_normal((N_SAMPLES, 2)).astype(np.float32)
    stft = frames_stft(audio, N_FFT, HOP)
    back = np.asarray(waveform(np.stack([stft.real, stft.imag], -1), model().spectrogram))
    assert back.shape == (2, N_SAMPLES)
    np.testing.assert_allclose(back[:, 24:-24], audio.T[:, 24:-24], atol=2e-4)


def test_frequency_weighted_hears_the_middle_most(batch):
    """The same error costs more at 2 kHz than at 50 Hz; a strength of 0 is the plain L1,1."""
    weights = magnitude.a_weighting(np.array([50.0, 1000.0, 2500.0, 10_000.0]))
    np.testing.assert_allclose(20 * np.log10(weights), [-30.2, 0.0, 1.3, -2.5], atol=0.1)  # IEC 61672-1, table 2
    mask = np.full_like(batch["mixture"], 0.5)
    plain = value("frequency_weighted", batch, mask, {"strength": 0})
    # DC, whose A-weight is 0, counts with strength 0 like every other bin
    assert plain == pytest.approx(value("l11", batch, mask), rel=1e-5)


def test_erb_bands_add_up_to_one():
    """No bin is counted twice."""
    np.testing.assert_allclose(magnitude.erb_bands(np.linspace(0, 11025, 513)).sum(axis=0), 1, atol=1e-9)


def test_energy_conserving_likes_masks_on_the_circle(rng):
    """With two outputs, masks whose squares add up to 1 cost less than others as far from the target."""
    mixture = rng.random((1, 129, N_FRAMES, 1)).astype(np.float32)
    batch = {"mixture": mixture, "target": np.concatenate([0.6 * mixture, 0.8 * mixture], axis=-1)}
    on_circle = np.broadcast_to(np.float32([0.8, 0.6]), (1, 129, N_FRAMES, 2))
    outside = np.broadcast_to(np.float32([0.8, 1.0]), (1, 129, N_FRAMES, 2))
    assert value("energy_conserving", batch, on_circle, outputs=2) < value(
        "energy_conserving", batch, outside, outputs=2
    )


@pytest.mark.parametrize(("name", "options", "message"), [
    ("l3", {}, "choose one of l11"),
    ("l11", {"power": 2}, "knows no options.*power"),
    ("error_db", {"flor_db": 1}, "floor_db, magnitude.*flor_db"),
    ("error_db", {"floor_db": "loud"}, "floor_db of the loss error_db is a number.*'loud'"),
])  # fmt: skip
def test_unknown_names_are_refused(name, options, message):
    """Names and options."""
    with pytest.raises((ValueError, SettingsError), match=message):
        registry.make_loss(name, options, model())


def test_time_losses_need_a_hop_that_divides():
    """Said, rather than computed wrongly."""
    spectrogram = SpectrogramSettings(n_fft=256, hop_length=100)
    with pytest.raises(ValueError, match="must divide n_fft.*hop_length=100"):
        waveform(np.zeros((1, 129, 4, 2), np.float32), spectrogram)
