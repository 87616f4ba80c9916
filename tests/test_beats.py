"""Beats of made-up drums, whose times are known."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from splitstrument.audio.resampling import resample
from splitstrument.beats import find_beats

RATE = 22050


def drums(rng, bpm: float, first_s: float, seconds: float = 24) -> tuple[np.ndarray, list[float]]:
    """A low drum on the first of four beats, noise on the others, soft noise between; and where the beats are."""
    audio = rng.normal(0, 0.003, (round(seconds * RATE), 2))
    times = list(np.arange(first_s, seconds - 0.5, 60 / bpm))
    decay = np.exp(-np.arange(2000) / 400)[:, None]
    low = np.sin(2 * np.pi * 70 * np.arange(2000) / RATE)[:, None]
    for number, time in enumerate(times):
        noise = rng.normal(0, 0.2, (2000, 2))
        audio[round(time * RATE) :][:2000] += decay * (0.5 * low if number % 4 == 0 else noise)
        audio[round((time + 30 / bpm) * RATE) :][:2000] += 0.2 * decay * noise
    return audio.astype(np.float32), times


@pytest.mark.parametrize(("bpm", "first_s"), [(92.0, 0.37), (120.0, 1.0), (140.0, 0.1)])
def test_beats_and_bars_of_drums_whatever_the_files(tmp_path, rng, bpm, first_s):
    audio, times = drums(rng, bpm, first_s)
    half = (rng.uniform(0, 1, audio.shape) * audio).astype(np.float32)
    for name, part in (("a.wav", half), ("b.wav", audio - half)):
        soundfile.write(tmp_path / name, part, RATE, subtype="FLOAT")
    found = find_beats([tmp_path / "a.wav", tmp_path / "b.wav"])
    assert found.bpm == pytest.approx(bpm, rel=0.01)
    assert len(found.times_s) == pytest.approx(len(times), abs=2)
    nearest = [min(times, key=lambda time: abs(time - beat)) for beat in found.times_s]
    assert np.abs(found.times_s - nearest).max() < 0.02
    assert times.index(nearest[found.first_of_bar]) % 4 == 0


@pytest.mark.parametrize("rate", [96_000, 192_000])
def test_beats_at_high_rates(tmp_path, rng, rate):
    audio, times = drums(rng, 120.0, 0.25, 8)
    soundfile.write(tmp_path / "a.wav", resample(audio, RATE, rate), rate, subtype="PCM_16")
    found = find_beats([tmp_path / "a.wav"])
    assert found.bpm == pytest.approx(120, rel=0.01)
    assert max(min(abs(time - beat) for time in times) for beat in found.times_s) < 0.02


@pytest.mark.parametrize("kind", ["silence", "short", "tone", "noise"])
def test_nothing_beats_where_nothing_does(tmp_path, rng, kind):
    seconds = 0.01 if kind == "short" else 12
    audio = np.zeros((max(1, round(seconds * RATE)), 1), np.float32)
    if kind == "tone":
        audio += 0.3 * np.sin(np.arange(len(audio)) / 20)[:, None].astype(np.float32)
    if kind == "noise":
        audio += rng.normal(0, 0.1, audio.shape).astype(np.float32)
    soundfile.write(tmp_path / "a.wav", audio, RATE, subtype="FLOAT")
    found = find_beats([tmp_path / "a.wav"])
    assert found.bpm == 0 and len(found.times_s) == 0
