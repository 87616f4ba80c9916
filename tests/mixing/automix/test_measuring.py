"""What an automatic mix measures: octaves, tempo, and the range behind compressors."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from splitstrument.loudness import measure
from splitstrument.mixing.automix.bands import OCTAVES_HZ, BandMeter
from splitstrument.mixing.automix.dynamics import RangeSearch, candidates
from splitstrument.mixing.automix.tempo import TempoMeter
from splitstrument.mixing.effects.chain import apply

RATE = 16_000


def blocks(signal, size=3001):
    return (signal[start : start + size] for start in range(0, len(signal), size))


@pytest.mark.parametrize("tempo_bpm", [72, 100, 120, 147.5])
def test_the_tempo_of_clicks(rng, tempo_bpm):
    seconds = np.arange(20 * RATE) / RATE
    click = np.exp(-40 * (seconds % (60 / tempo_bpm)))[:, None] * rng.standard_normal((len(seconds), 1))
    meter = TempoMeter(RATE)
    for block in blocks(click):
        meter.add(block)
    assert meter.tempo_bpm() == pytest.approx(tempo_bpm, rel=0.015)


def test_what_does_not_repeat_or_is_short_has_no_tempo():
    meter = TempoMeter(RATE)
    meter.add(np.zeros((RATE, 1)))
    assert meter.tempo_bpm() is None
    for _ in range(20):
        meter.add(np.zeros((RATE, 1)))
    assert meter.tempo_bpm() is None


def test_octaves_are_levels_by_the_hertz(rng):
    meter = BandMeter(RATE)
    signal = 0.1 * rng.standard_normal((10 * RATE, 1))
    for block in blocks(signal):
        meter.add(block, 2 * block)
    lead, backing = meter.levels_db()
    assert meter.octaves_hz == OCTAVES_HZ[:7]
    np.testing.assert_allclose(lead, lead.mean(), atol=1.5)  # white noise is as loud in every hertz
    np.testing.assert_allclose(backing - lead, 20 * np.log10(2), atol=1e-6)


def test_only_where_the_lead_sounds_does_the_backing_count(rng):
    meter = BandMeter(RATE)
    lead, backing = (0.1 * rng.standard_normal((8 * RATE, 1)) for _ in range(2))
    lead[4 * RATE :] *= 1e-2
    backing[4 * RATE :] *= 4
    for one, other in zip(blocks(lead), blocks(backing), strict=True):
        meter.add(one, other)
    levels = meter.levels_db()
    np.testing.assert_allclose(levels[1] - levels[0], 0, atol=2.5)
    silent = BandMeter(RATE)
    silent.add(np.zeros((RATE, 1)), backing[:RATE])
    assert silent.levels_db() is None


def test_the_range_behind_a_compressor_is_as_predicted(rng):
    seconds = np.arange(24 * RATE) / RATE
    level = 0.02 * 10 ** (np.minimum(30, 4 * (seconds % 12)) / 20)
    signal = (level * np.sin(2 * np.pi * 440 * seconds) * (0.6 + 0.4 * np.sin(17 * seconds)))[:, None]
    signal = signal.astype(np.float32)
    tried = candidates(-3.0)[::6]
    search = RangeSearch(tried, RATE, 1)
    for block in blocks(signal):
        search.add(block)
    for one, expected in zip(tried, search.ranges_lu(), strict=True):
        compressed = apply([one.effect(RATE, 1)], signal)
        assert measure([compressed], RATE, 1).range_lu == pytest.approx(expected, abs=0.3)


def test_candidates_grow_stronger():
    tried = candidates(-6.0)
    assert (tried[0].threshold_dbfs, tried[0].ratio) == (-9.0, 3.0)
    assert all(a.threshold_dbfs > b.threshold_dbfs and a.ratio < b.ratio for a, b in pairwise(tried))
    assert (tried[-1].threshold_dbfs, tried[-1].ratio) == (-41.0, 13.9)
