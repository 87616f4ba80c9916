"""Loudness: the test signals of EBU Tech 3341 and 3342, any block size, and ffmpeg's meter on real music."""

from __future__ import annotations

import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from places import ROOT

from splitstrument import audio
from splitstrument.cli import cli
from splitstrument.loudness import LoudnessMeter, k_weighting, measure

RATES = (22_050, 44_100, 48_000, 96_000)
SONG = ROOT / "datasets" / "sample" / "example.ogg"


def sine(dbfs: float, seconds: float, rate_hz: int, channels: int = 2, hertz: float = 1000.0) -> np.ndarray:
    """A sine whose peak is at `dbfs`, the same in all channels: (n_samples, n_channels)."""
    time = np.arange(round(seconds * rate_hz)) / rate_hz
    return np.repeat(10 ** (dbfs / 20) * np.sin(2 * np.pi * hertz * time)[:, None], channels, axis=1).astype(np.float32)


def levels(parts: list[tuple[float, float]], rate_hz: int) -> np.ndarray:
    """Stereo sines of 1 kHz, (dBFS, seconds) one after another."""
    return np.concatenate([sine(dbfs, seconds, rate_hz) for dbfs, seconds in parts])


def metered(signal: np.ndarray, rate_hz: int) -> LoudnessMeter:
    meter = LoudnessMeter(rate_hz, signal.shape[1])
    for start in range(0, len(signal), 7001):
        meter.add(signal[start : start + 7001])
    return meter


# EBU Tech 3341, table 1: number of the test signal -> (dBFS, seconds)..., expected integrated loudness
INTEGRATED = {
    1: ([(-23, 20)], -23.0),
    2: ([(-33, 20)], -33.0),
    3: ([(-36, 10), (-23, 60), (-36, 10)], -23.0),
    4: ([(-72, 10), (-36, 10), (-23, 60), (-36, 10), (-72, 10)], -23.0),
    5: ([(-26, 20), (-20, 20.1), (-26, 20)], -23.0),
}


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("case", INTEGRATED)
def test_integrated_loudness_of_tech_3341(case, rate_hz):
    parts, expected = INTEGRATED[case]
    result = metered(levels(parts, rate_hz), rate_hz).result()
    assert result.integrated_lufs == pytest.approx(expected, abs=0.1)
    if case < 3:
        assert (result.momentary_max_lufs, result.short_term_max_lufs) == pytest.approx((expected,) * 2, abs=0.1)


def test_channels_of_tech_3341_case_6():
    places = [(-28, 2), (-24, 1), (-30, 2)]  # left and right, centre, surrounds
    signal = np.concatenate([sine(dbfs, 20, 48_000, n) for dbfs, n in places], axis=1)
    assert measure([signal], 48_000, 5).integrated_lufs == pytest.approx(-23.0, abs=0.1)
    with_lfe = np.insert(signal, 3, sine(-3, 20, 48_000, 1)[:, 0], axis=1)  # in WAV order; it does not count
    assert measure([with_lfe], 48_000, 6).integrated_lufs == pytest.approx(-23.0, abs=0.1)


def test_short_term_and_momentary_of_tech_3341_cases_9_and_12():
    short = metered(levels([(-20, 1.34), (-30, 1.66)] * 5, 48_000), 48_000).short_term()
    assert short == pytest.approx(np.full(len(short), -23.0), abs=0.1)
    momentary = metered(levels([(-20, 0.18), (-30, 0.22)] * 25, 48_000), 48_000).momentary()
    assert momentary == pytest.approx(np.full(len(momentary), -23.0), abs=0.1)


@pytest.mark.parametrize(
    ("divisor", "degrees", "amplitude", "expected"),
    [(4, 0, 0.5, -6.0), (4, 45, 0.5, -6.0), (6, 60, 0.5, -6.0), (8, 67.5, 0.5, -6.0), (4, 45, 1.41, 3.0)],
    ids=["case 15", "case 16", "case 17", "case 18", "case 19"],
)
def test_true_peaks_of_tech_3341(divisor, degrees, amplitude, expected):
    phase = 2 * np.pi * np.arange(48_000) / divisor + np.radians(degrees)
    fade = np.minimum(1, np.arange(48_000) / 4800)  # the signals of the standard begin softly
    signal = (amplitude * fade * fade[::-1] * np.sin(phase))[:, None].astype(np.float32)
    peak = metered(signal, 48_000).result().true_peak_dbtp
    assert expected - 0.4 <= peak <= expected + 0.2


# EBU Tech 3342, table 1
RANGES = {
    1: ([(-20, 20), (-30, 20)], 10),
    2: ([(-20, 20), (-15, 20)], 5),
    3: ([(-40, 20), (-20, 20)], 20),
    4: ([(-50, 20), (-35, 20), (-20, 20), (-35, 20), (-50, 20)], 15),
}


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("case", RANGES)
def test_loudness_ranges_of_tech_3342(case, rate_hz):
    parts, expected = RANGES[case]
    assert metered(levels(parts, rate_hz), rate_hz).result().range_lu == pytest.approx(expected, abs=1)


def test_seconds_in_turn_have_a_small_range():
    """Short-term loudness hears three seconds: a level that changes every second is nearly steady to it."""
    result = metered(levels([(-20, 1), (-35, 1)] * 30, 44_100), 44_100).result()
    assert result.range_lu == pytest.approx(2.3, abs=0.5)


@pytest.mark.parametrize("rate_hz", [8000, 11_025, 44_100, 192_000])
def test_blocks_of_any_size_give_the_same(rate_hz, rng):
    signal = (0.1 * rng.standard_normal((4 * rate_hz, 2))).astype(np.float32)
    whole = measure([signal], rate_hz, 2)
    for size in (1013, 65_536):
        parts = [signal[start : start + size] for start in range(0, len(signal), size)]
        assert measure([*parts, signal[:0]], rate_hz, 2).as_dict() == whole.as_dict()


def test_filters_are_those_of_the_standard_at_48_khz():
    shelf = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1.0, -1.69065929318241, 0.73248077421585]
    high_pass = [1.0, -2.0, 1.0, 1.0, -1.99004745483398, 0.99007225036621]
    np.testing.assert_allclose(k_weighting(48_000), [shelf, high_pass], atol=1e-9)


@pytest.mark.parametrize("seconds", [0, 0.3])
def test_what_is_too_short_or_silent_has_no_loudness(seconds):
    assert metered(sine(-20, seconds, 44_100), 44_100).result().integrated_lufs is None
    silent = metered(np.zeros((3 * 44_100, 2), np.float32), 44_100).result()
    assert set(silent.as_dict().values()) == {None}


@pytest.mark.skipif(not shutil.which("ffmpeg"), reason="needs ffmpeg")
@pytest.mark.parametrize("rate_hz", RATES)
def test_music_measures_as_in_ffmpeg(tmp_path, rate_hz):
    sound, _ = audio.read(SONG, rate_hz)
    path = tmp_path / "song.wav"
    soundfile.write(path, sound, rate_hz, subtype="FLOAT")
    command = ["ffmpeg", "-hide_banner", "-nostats", "-i", path, "-af", "ebur128=peak=true", "-f", "null", "-"]
    summary = subprocess.run(command, capture_output=True, text=True, check=True).stderr.rpartition("Summary:")[2]
    theirs = {key: float(re.search(rf"{key}:\s+(-?[\d.]+)", summary)[1]) for key in ("I", "LRA", "Peak")}
    ours = metered(sound, rate_hz).result()
    assert ours.integrated_lufs == pytest.approx(theirs["I"], abs=0.1)
    assert ours.range_lu == pytest.approx(theirs["LRA"], abs=0.3)
    assert ours.true_peak_dbtp == pytest.approx(theirs["Peak"], abs=0.3)


def test_the_command_measures_draws_and_goes_on_after_a_bad_file(tmp_path):
    (tmp_path / "bad.wav").write_text("no audio")
    soundfile.write(tmp_path / "good.wav", sine(-23, 5, 44_100), 44_100)
    files = [str(tmp_path / "bad.wav"), str(tmp_path / "good.wav")]
    run = CliRunner().invoke(cli, ["loudness", *files, "--json", "--plot", str(tmp_path / "plot.png")])
    assert run.exit_code == 1
    data = json.loads(run.stdout)
    assert data["files"][files[1]]["integrated_lufs"] == pytest.approx(-23, abs=0.1)
    assert "bad.wav" in data["failed"][files[0]] and "bad.wav" in run.stderr
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG")
