"""The gate of what is longer than a chunk: what it lowers, what it leaves, and that blocks and memory do not matter."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import music, tiny_model, tiny_settings

import splitstrument
from splitstrument.cli import cli
from splitstrument.network.settings import GateSettings, SpectrogramSettings
from splitstrument.separation.options import SeparationOptions
from splitstrument.separation.presence import gated
from splitstrument.separation.stream import load_model

SPECTROGRAM = SpectrogramSettings(sample_rate_hz=1000, n_fft=32, hop_length=10)  # 100 frames a second
RATE_HZ = 22050
GATE = GateSettings(threshold_db=-10, width_db=2, window_s=2)


def _gated(mask, spectrum=None, cut=None, gate=GATE):
    """(n_views, n_bins, n_frames) through the gate, whole or in blocks of `cut` frames."""
    spectrum = np.ones(mask.shape, np.complex64) if spectrum is None else spectrum
    cut = cut or mask.shape[-1]
    starts = range(0, mask.shape[-1], cut)
    blocks = ((spectrum[..., start : start + cut], mask[..., start : start + cut]) for start in starts)
    pairs = list(gated(blocks, gate, SPECTROGRAM))
    assert np.array_equal(np.concatenate([frames for frames, _ in pairs], axis=-1), spectrum)
    return np.concatenate([frames for _, frames in pairs], axis=-1)


def _constant(level_db, n_frames=400):
    return np.full((1, 17, n_frames), 10 ** (level_db / 20), np.float32)


def _db(gain):
    return 20 * np.log10(gain)


@pytest.mark.parametrize(("level_db", "lowered_db"), [(-10, -6.02), (-8, -2.72), (-12, -11.41), (-16, -26.4)])
def test_an_answer_far_below_the_song_is_faded_out(level_db, lowered_db):
    """The gains that the settings promise, within what the gate of the (loud) rest adds."""
    mask = _constant(level_db)
    assert np.allclose(_db(_gated(mask) / mask), lowered_db, atol=1)
    assert _db(_gated(_constant(-25)).max()) < -70


def test_a_rest_far_below_the_song_is_faded_out():
    held_back = _constant(-20)
    assert _db(1 - _gated(1 - held_back)).max() < -38  # what the gate of the loud answer itself leaves out


def test_what_is_neither_is_left_alone():
    """Half and half: 4 dB above the threshold both ways. And digital silence, in which nothing stands out."""
    assert np.abs(_db(_gated(_constant(-6)) / _constant(-6))).max() < 1
    silence = np.zeros((1, 17, 400), np.complex64)
    assert np.abs(_gated(_constant(-6), silence) - _constant(-6)).max() < 0.01


def test_each_view_has_a_gate_of_its_own():
    mask = np.concatenate([_constant(-40), _constant(-3)])
    left, right = _gated(mask)
    assert left.max() < 1e-5 and right.min() > 0.6


def test_it_opens_and_closes_smoothly_within_its_window():
    """The instrument plays for ten seconds of thirty: left alone in the middle, gone a window away from it."""
    mask = np.concatenate([np.full((1, 9, 3000), 0.56), np.full((1, 8, 3000), 0.03)], axis=1).astype(np.float32)
    plays = np.zeros(3000, bool)
    plays[1000:2000] = True
    spectrum = np.where(np.arange(17)[:, None] < 9, plays, ~plays)[None].astype(np.complex64)
    changed = _gated(mask, spectrum)[0, 0]
    assert np.abs(changed[1200:1800] - 0.56).max() < 0.1
    assert changed[[*range(880), *range(2120, 3000)]].max() < 0.02
    assert np.abs(np.diff(changed)).max() < 0.03


@settings(max_examples=40, deadline=None)
@given(n_frames=st.integers(1, 700), cut=st.integers(1, 300), views=st.sampled_from([1, 2]), seed=st.integers(0, 9))
def test_blocks_do_not_matter(n_frames, cut, views, seed):
    rng = np.random.default_rng(seed)
    mask = (rng.random((views, 17, n_frames)) * rng.choice([0.05, 1], n_frames)).astype(np.float32)
    spectrum = rng.standard_normal((2, 17, n_frames)).astype(np.complex64)
    whole = _gated(mask, spectrum)
    assert np.abs(_gated(mask, spectrum, cut) - whole).max() < 1e-6
    assert whole.shape == mask.shape and whole.min() >= 0 and whole.max() <= 1


def test_an_empty_stream_stays_empty():
    assert list(gated(iter([]), GATE, SPECTROGRAM)) == []


def test_memory_is_that_of_a_window():
    """A stream ten times as long needs no more."""

    def peak(n_blocks):
        block = lambda: (np.ones((2, 17, 100), np.complex64), np.full((1, 17, 100), 0.5, np.float32))  # noqa: E731
        tracemalloc.start()
        for _ in gated((block() for _ in range(n_blocks)), GATE, SPECTROGRAM):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(300) < 1.2 * peak(30)


@pytest.fixture
def gated_model(tmp_path) -> Path:
    """A model whose gate only a mask of 1 would open, so that any answer is faded out."""
    gate = GateSettings(threshold_db=-0.001, width_db=0.5, window_s=1)
    return tiny_model(tmp_path / "model", tiny_settings(gate=gate)).path


@pytest.fixture
def song() -> np.ndarray:
    return music(np.random.default_rng(3), 3 * RATE_HZ)


def test_a_model_with_a_gate_uses_it_unless_told_otherwise(gated_model, song):
    model = load_model(gated_model)
    with_gate = splitstrument.separate(song, RATE_HZ, model=model)
    without = splitstrument.separate(song, RATE_HZ, model=model, options=SeparationOptions(gate=False))
    assert np.sum(with_gate.instrument**2) < 0.3 * np.sum(without.instrument**2)
    assert np.abs(with_gate.instrument + with_gate.rest - song).max() < 1e-6


def test_the_command_line_can_turn_it_off_and_the_sidecar_says_so(gated_model, song, tmp_path):
    splitstrument.audio.write(tmp_path / "song.wav", song, RATE_HZ)
    energies = {}
    for flag in ("--gate", "--no-gate"):
        out = tmp_path / flag
        arguments = ["separate", str(tmp_path / "song.wav"), "-m", str(gated_model), "-o", str(out), flag]
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, result.output
        assert json.loads((out / "song" / "separation.json").read_text())["options"]["gate"] is (flag == "--gate")
        instrument, _ = splitstrument.audio.read(out / "song" / "instrument.wav")
        energies[flag] = np.sum(instrument**2)
    assert energies["--gate"] < energies["--no-gate"]


def test_models_show_tells_of_it(gated_model):
    assert "threshold_db=-0.001" in CliRunner().invoke(cli, ["models", "show", str(gated_model)]).output
    assert tiny_settings().gate is None
