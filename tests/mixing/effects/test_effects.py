"""Effects against what theory says, and the contract of all: any blocks, same length, aligned."""

from __future__ import annotations

import numpy as np
import pytest

from splitstrument.loudness import measure
from splitstrument.mixing.effects.chain import apply, run
from splitstrument.mixing.effects.compressor import Compressor
from splitstrument.mixing.effects.convolution import Convolution
from splitstrument.mixing.effects.equalizer import (
    Band,
    ParametricEqualizer,
    band_centres_hz,
    curve_equalizer,
    minimum_phase,
)
from splitstrument.mixing.effects.limiter import Limiter
from splitstrument.mixing.effects.reverb import Reverb, room, rt60_of

RATE = 44_100
CURVE_DB = 6 * np.sin(np.arange(40) / 3)
EFFECTS = {
    "parametric": lambda: ParametricEqualizer([Band("peak", 800, 6, 1), Band("low_shelf", 120, -4)], RATE, 2),
    "curve": lambda: curve_equalizer(band_centres_hz(), CURVE_DB, RATE, 2),
    "compressor": lambda: Compressor(RATE, 2, -30, 4, look_ahead_s=0.01),
    "reverb": lambda: Reverb(room(0.4, RATE, 2), 2),
    "limiter": lambda: Limiter(RATE, 2, -12),
}


def music(rng: np.random.Generator, seconds: float = 1.0) -> np.ndarray:
    """Noise whose level changes: (n_samples, 2)."""
    noise = rng.standard_normal((round(seconds * RATE), 2))
    level = 0.05 + 0.4 * (np.sin(2 * np.pi * 3 * np.arange(len(noise)) / RATE) > 0)
    return (noise * level[:, None] * 0.3).astype(np.float32)


def tone(dbfs: float, seconds: float, hertz: float = 1000.0) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    return np.repeat(10 ** (dbfs / 20) * np.sin(2 * np.pi * hertz * time)[:, None], 2, axis=1).astype(np.float32)


def gain_db(response: np.ndarray, hertz: np.ndarray) -> np.ndarray:
    """Gain of an impulse response at some frequencies."""
    waves = np.exp(-2j * np.pi * hertz[:, None] * np.arange(len(response)) / RATE)
    return 20 * np.log10(np.abs(waves @ response))


@pytest.mark.parametrize("name", EFFECTS)
def test_effects_do_not_depend_on_the_blocks_and_keep_the_length(name, rng):
    signal = music(rng)
    whole = apply([EFFECTS[name]()], signal)
    assert whole.shape == signal.shape and whole.dtype == np.float32
    assert not np.allclose(whole, signal, atol=1e-3)  # it does something
    for size in (997, 5000):
        parts = [signal[start : start + size] for start in range(0, len(signal), size)]
        np.testing.assert_allclose(np.concatenate(list(run([EFFECTS[name]()], parts))), whole, atol=2e-6)


@pytest.mark.parametrize("name", EFFECTS)
def test_effects_leave_silence_and_what_they_are_given(name, rng):
    assert not apply([EFFECTS[name]()], np.zeros((3000, 2), np.float32)).any()
    assert apply([EFFECTS[name]()], np.zeros((0, 2), np.float32)).shape == (0, 2)
    signal = music(rng, 0.2)
    kept = signal.copy()
    apply([EFFECTS[name]()], signal)
    np.testing.assert_array_equal(signal, kept)


def test_effects_one_after_another_stay_aligned(rng):
    quiet = 0.01 * music(rng)  # below every threshold
    through = apply([Compressor(RATE, 2, look_ahead_s=0.02), Limiter(RATE, 2), Compressor(RATE, 2)], quiet)
    np.testing.assert_allclose(through, quiet, atol=1e-6)


BANDS = [
    (Band("peak", 1000, 6, 1), {1000: 6, 20: 0, 20_000: 0}),
    (Band("peak", 5000, -8, 2), {5000: -8, 50: 0}),
    (Band("low_shelf", 200, 5), {20: 5, 200: 2.5, 8000: 0}),
    (Band("high_shelf", 4000, -6), {50: 0, 4000: -3, 20_000: -6}),
    (Band("low_pass", 2000), {50: 0, 2000: -3.01}),
    (Band("high_pass", 100), {5000: 0, 100: -3.01}),
]


@pytest.mark.parametrize(("band", "expected"), BANDS, ids=lambda value: getattr(value, "shape", None))
def test_bands_have_their_gains(band, expected):
    impulse = np.zeros((1 << 15, 1), np.float32)
    impulse[0] = 1
    response = apply([ParametricEqualizer([band], RATE, 1)], impulse)[:, 0]
    assert gain_db(response, np.array(list(expected), float)) == pytest.approx(list(expected.values()), abs=0.15)


def test_a_curve_of_forty_bands_is_followed_within_half_a_decibel():
    centres = band_centres_hz()
    assert centres[[0, -1]] == pytest.approx([20, 20_000])
    response = minimum_phase(centres, CURVE_DB, RATE)
    heard = centres > 30
    np.testing.assert_allclose(gain_db(response, centres)[heard], CURVE_DB[heard], atol=0.5)
    energy = np.cumsum(np.square(response))
    assert energy[RATE // 500] > 0.9 * energy[-1]  # minimum phase: what it gives, it gives at once


def test_a_convolution_is_that_of_numpy(rng):
    signal, response = music(rng, 0.1), rng.standard_normal((300, 2))
    expected = np.stack([np.convolve(signal[:, i], response[:, i])[: len(signal)] for i in range(2)], axis=1)
    np.testing.assert_allclose(apply([Convolution(response, 2)], signal), expected, atol=1e-4)


@pytest.mark.parametrize("level", [-50, -30, -20, -10, 0])
@pytest.mark.parametrize(("ratio", "knee"), [(1, 0), (2, 0), (4, 0), (4, 12), (20, 0)])
def test_a_steady_tone_gets_the_static_curve(level, ratio, knee):
    threshold = -24.0
    out = apply([Compressor(RATE, 2, threshold, ratio, 0.005, 0.05, knee)], tone(level, 1.0))
    got = 20 * np.log10(np.abs(out[RATE // 2 :]).max())
    over = level - threshold
    if knee and abs(over) < knee / 2:
        expected = level + (1 / ratio - 1) * (over + knee / 2) ** 2 / (2 * knee)
    else:
        expected = threshold + over / ratio if over > 0 else level
    assert got == pytest.approx(expected, abs=0.2)


@pytest.mark.parametrize(("attack", "release"), [(0.03, 0.15), (0.01, 0.4)])
def test_attack_and_release_take_their_time(attack, release):
    signal = np.concatenate([tone(-40, 0.5), tone(-10, 1.0), tone(-40, 2.0)])
    out = apply([Compressor(RATE, 2, -30, 4, attack, release)], signal)
    peaks = np.maximum(np.abs(signal), 1e-9).reshape(-1, 441, 2).max(axis=(1, 2))  # every 10 ms
    gains = 20 * np.log10(np.abs(out).reshape(-1, 441, 2).max(axis=(1, 2)) / peaks)
    full = gains[140]
    assert full == pytest.approx(-15, abs=0.3)
    down = np.interp(-0.632 * -full, -gains[50:140][::-1] * -1, np.arange(90)[::-1] / 100)
    up = np.interp(0.368 * full, gains[150:340], np.arange(190) / 100)
    assert down == pytest.approx(attack, abs=0.012)
    assert up == pytest.approx(release, rel=0.12)


def test_look_ahead_meets_the_peak():
    signal = np.concatenate([tone(-60, 0.5), tone(0, 0.5)])
    late, early = (apply([Compressor(RATE, 2, -20, 20, 0.005, 0.2, look_ahead_s=ahead)], signal) for ahead in (0, 0.03))
    onset = slice(RATE // 2, RATE // 2 + 200)
    assert np.abs(late[onset]).max() > 0.8 and np.abs(early[onset]).max() < 0.2


@pytest.mark.parametrize("rt60", [0.3, 1.0, 2.2])
def test_rooms_ring_as_long_as_they_should(rt60):
    response = room(rt60, RATE, 2, seed=3)
    assert rt60_of(response, RATE) == pytest.approx(rt60, rel=0.1)
    np.testing.assert_array_equal(response, room(rt60, RATE, 2, seed=3))
    assert not np.allclose(response, room(rt60, RATE, 2, seed=4))
    assert abs(np.corrcoef(response.T)[0, 1]) < 0.1


def test_a_reverb_is_as_loud_as_asked(rng):
    noise = (0.1 * rng.standard_normal((4 * RATE, 2))).astype(np.float32)
    wet = apply([Reverb(room(0.3, RATE, 2), 2, wet_db=-12)], noise) - noise
    late = slice(RATE, None)
    assert 20 * np.log10(wet[late].std() / noise[late].std()) == pytest.approx(-12, abs=0.5)


@pytest.mark.parametrize("ceiling", [-1.0, -6.0])
def test_nothing_passes_the_ceiling_between_samples_either(ceiling, rng):
    between = 1.2 * np.sin(np.pi / 2 * np.arange(RATE) + np.pi / 4)[:, None] * np.ones(2)  # peaks lie between samples
    signal = np.concatenate([3 * music(rng), between.astype(np.float32), music(rng)])
    out = apply([Limiter(RATE, 2, ceiling)], signal)
    assert ceiling - 0.6 < measure([out], RATE, 2).true_peak_dbtp <= ceiling + 0.01
    quiet = np.abs(signal).max(axis=1) < 0.02
    assert np.all(np.abs(out) <= np.abs(signal) + 1e-6) and quiet.any()


def test_what_cannot_be_is_refused():
    for make in (
        lambda: Band("peak", 30_000).section(RATE),
        lambda: Compressor(RATE, 2, ratio=0.5),
        lambda: Limiter(RATE, 2, ceiling_dbtp=1.0),
        lambda: room(0, RATE, 2),
        lambda: minimum_phase([100, 100], [0, 1], RATE),
        lambda: Convolution(np.ones((3, 3)), 2),
    ):
        with pytest.raises(ValueError, match="Received"):
            make()
