"""Slower and in another key: tones stay tones, a sweep keeps its level and time, drums stay short."""

from __future__ import annotations

import numpy as np
import pytest

from splitstrument.mixing.effects.stretch import Stretch

RATE = 22050


def stretched(audio: np.ndarray, speed: float, semitones: float, block: int = 7001) -> np.ndarray:
    effect = Stretch(RATE, audio.shape[1], speed, semitones)
    parts = [effect.process(audio[start : start + block]) for start in range(0, len(audio), block)]
    return np.concatenate([*parts, effect.finish()]).astype(np.float64)


def tone(seconds: float, hertz: float = 440) -> np.ndarray:
    phase = 2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE
    return np.stack([0.3 * np.sin(phase), 0.2 * np.sin(phase + 1)], axis=1).astype(np.float32)


@pytest.mark.parametrize(("speed", "semitones"), [(1, 0), (0.25, 0), (1.5, 0), (1, 3), (0.8, -12), (0.5, 7.2)])
def test_a_tone_stays_a_tone_in_every_channel(speed, semitones):
    sound = stretched(tone(4), speed, semitones)
    assert len(sound) == round(4 * RATE / speed)
    inside = sound[RATE // 2 : -RATE // 2]
    phase = 2 * np.pi * 440 * 2 ** (semitones / 12) * np.arange(len(inside)) / RATE
    basis = np.stack([np.cos(phase), np.sin(phase)], axis=1)
    weights = np.linalg.lstsq(basis, inside, rcond=None)[0]
    assert np.hypot(*weights) == pytest.approx([0.3, 0.2], rel=0.005)
    angles = np.arctan2(weights[0], weights[1])
    assert (angles[1] - angles[0]) % (2 * np.pi) == pytest.approx(1, abs=0.01)  # the stereo picture
    assert 10 * np.log10(np.mean((inside - basis @ weights) ** 2) / np.mean(inside**2)) < -60


@pytest.mark.parametrize(("speed", "semitones"), [(0.5, 0), (1.5, -2), (1, 5)])
def test_a_sweep_keeps_its_level_and_its_time(speed, semitones):
    time = np.arange(6 * RATE) / RATE
    sweep = 0.3 * np.sin(2 * np.pi * (200 * time + 150 * time**2))  # 300 Hz a second
    sound = stretched(sweep[:, None].astype(np.float32), speed, semitones)[:, 0]
    spectrum = np.fft.fft(sound)
    spectrum[len(sound) // 2 :] = 0
    analytic = 2 * np.fft.ifft(spectrum)
    inside = slice(RATE // 2, -RATE // 2)
    assert np.abs(20 * np.log10(np.abs(analytic[inside]) / 0.3)).max() < 0.5
    heard_hz = np.diff(np.unwrap(np.angle(analytic))) * RATE / (2 * np.pi)
    wanted_hz = (200 + 300 * speed * np.arange(len(heard_hz)) / RATE) * 2 ** (semitones / 12)
    assert np.abs((wanted_hz - heard_hz)[inside] / (300 * 2 ** (semitones / 12))).max() < 0.015


def test_the_result_does_not_depend_on_the_blocks(rng):
    audio = rng.normal(0, 0.1, (RATE, 1)).astype(np.float32)
    assert np.array_equal(stretched(audio, 0.8, 0, 100), stretched(audio, 0.8, 0, 10**6))
    assert stretched(audio, 0.8, 2, 100) == pytest.approx(stretched(audio, 0.8, 2, 10**6), abs=1e-4)


@pytest.mark.parametrize("n_samples", [0, 1, 500])
def test_short_songs_come_out_as_long_as_they_should(n_samples):
    assert len(stretched(np.full((n_samples, 2), 0.1, np.float32), 0.5, 1)) == 2 * n_samples
