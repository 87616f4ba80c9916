"""Timbre: each effect does what it says, and none changes the energy."""

import numpy as np
import pytest

from splitstrument.spectrogram import stft
from splitstrument.training.data import timbre
from splitstrument.training.mixing import MixingSettings

RATE_HZ = 22_050


@pytest.fixture
def sound(rng):
    """A second of decaying tones in two channels: (n_samples, 2)."""
    time_s = np.arange(RATE_HZ) / RATE_HZ
    tone = sum(np.sin(2 * np.pi * f * time_s) / n for n, f in enumerate((220, 440, 660, 880, 2200), 1))
    return (tone * np.exp(-4 * (time_s % 0.25)))[:, None].astype(np.float32) * np.array([0.3, 0.2], np.float32)


def energy(values):
    return float(np.sum(np.abs(values) ** 2))


def test_overdrive_and_room_add_what_was_not_there_at_the_same_energy(sound, rng):
    driven = timbre.overdriven(sound, 10.0, 0.2)
    assert energy(driven) == pytest.approx(energy(sound), rel=1e-4)
    spectra = [np.abs(np.fft.rfft(each[:, 0])) for each in (sound, driven)]
    assert spectra[1][3080] > 10 * spectra[0][3080]  # a partial that the tone does not have
    wet = timbre.in_a_room(sound, 0.2, 0.5, RATE_HZ, rng)
    assert energy(wet) == pytest.approx(energy(sound), rel=1e-4)
    assert np.abs(np.corrcoef(wet[:, 0] - sound[:, 0], wet[:, 1] - sound[:, 1])[0, 1]) < 0.9  # a room is wide
    np.testing.assert_array_equal(timbre.overdriven(sound * 0, 10.0, 0.2), sound * 0)


@pytest.mark.parametrize("effect", ["equalizer_db", "comb", "formant", "envelope"])
def test_effects_on_the_spectrum_change_it_and_keep_its_energy(sound, rng, effect):
    spectrum = stft(sound, 2048, 512)
    settings = MixingSettings(**{effect: 12 if effect == "equalizer_db" else 1})
    shaped = timbre.shaped_spectrum(spectrum, settings, RATE_HZ, 512, rng)
    assert energy(shaped) == pytest.approx(energy(spectrum), rel=1e-3)
    assert energy(shaped - spectrum) > 1e-3 * energy(spectrum)
    np.testing.assert_allclose(np.angle(shaped), np.angle(spectrum), atol=1e-4)
    same = timbre.shaped_spectrum(spectrum, MixingSettings(), RATE_HZ, 512, rng)
    np.testing.assert_allclose(same, spectrum, rtol=1e-4, atol=1e-6)


def test_resonances_move_and_partials_stay():
    bins = np.arange(1025)
    power = np.exp(-((np.log(np.maximum(bins, 1) / 100)) ** 2) / 0.1) + 1e-4
    moved = power * timbre.moved_resonances(power, 1.25) ** 2
    assert 112 < np.argmax(moved) < 135
    np.testing.assert_allclose(timbre.moved_resonances(power, 1.0), 1, atol=1e-6)


def test_the_envelope_becomes_sharper_or_softer(sound):
    power = np.sum(np.abs(stft(sound, 2048, 512)) ** 2, axis=(0, 1))
    spreads = {
        np.std(np.log(power * timbre.changed_envelope(power, 43.0, np.random.default_rng(s)) ** 2)) for s in range(9)
    }
    assert min(spreads) < np.std(np.log(power)) < max(spreads)


def test_a_low_pass_leaves_nothing_above_its_edge(rng):
    gains = timbre.low_pass_gains(1025, RATE_HZ, rng)
    assert gains[100] == pytest.approx(1, abs=1e-3)
    assert gains[-1] < 0.2
    assert (np.diff(gains) <= 0).all()
