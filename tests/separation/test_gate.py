"""The gate of what is longer than a chunk: what it lowers, what it leaves, and that blocks and memory do not matter."""

from __future__ import annotations

import json
import tracemalloc

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import music, tiny_model, tiny_settings

import splitstrument
from splitstrument.cli import cli
from splitstrument.errors import SettingsError
from splitstrument.network.settings import SpectrogramSettings
from splitstrument.separation.gate import Gate, gated
from splitstrument.separation.options import NO_GATE_DB, SeparationOptions
from splitstrument.separation.pipeline import load_model

SPECTROGRAM = SpectrogramSettings(sample_rate_hz=1000, n_fft=32, hop_length=10)  # 100 frames a second
RATE_HZ = 22050
GATE, WINDOW_S = Gate(-10, -10), 2


def _gated(mask, spectrum=None, cut=None, gate=GATE):
    """(n_views, n_bins, n_frames) through the gate, whole or in blocks of `cut` frames."""
    spectrum = np.ones(mask.shape, np.complex64) if spectrum is None else spectrum
    cut = cut or mask.shape[-1]
    starts = range(0, mask.shape[-1], cut)
    blocks = ((spectrum[..., start : start + cut], mask[None, ..., start : start + cut]) for start in starts)
    pairs = list(gated(blocks, gate, SPECTROGRAM, window_s=WINDOW_S))
    assert np.array_equal(np.concatenate([frames for frames, _ in pairs], axis=-1), spectrum)
    return np.concatenate([frames for _, (frames,) in pairs], axis=-1)


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


def test_each_part_has_a_threshold_of_its_own():
    soft, loud = _constant(-25), 1 - _constant(-25)
    assert np.abs(_gated(soft, gate=Gate(None, -10)) - soft).max() < 0.01  # the rest is loud
    assert np.abs(_gated(loud, gate=Gate(-10, None)) - loud).max() < 0.01
    assert _db(_gated(soft, gate=Gate(-10, None)).max()) < -70
    assert _db(1 - _gated(loud, gate=Gate(None, -10))).max() < -70


def test_what_is_neither_is_left_alone():
    """Half and half: 4 dB above the threshold both ways. And digital silence, in which nothing stands out."""
    assert np.abs(_db(_gated(_constant(-6)) / _constant(-6))).max() < 1
    silence = np.zeros((1, 17, 400), np.complex64)
    assert np.abs(_gated(_constant(-6), silence) - _constant(-6)).max() < 0.01


def test_each_view_has_a_gate_of_its_own():
    mask = np.concatenate([_constant(-40), _constant(-3)])
    left, right = _gated(mask)
    assert left.max() < 1e-5 and right.min() > 0.6


def test_each_stem_has_a_gate_of_its_own():
    masks = np.stack([_constant(-40), _constant(-3)])
    [(_, gated_masks)] = gated(
        iter([(np.ones((1, 17, 400), np.complex64), masks)]), GATE, SPECTROGRAM, window_s=WINDOW_S
    )
    for alone, together in zip(masks, gated_masks, strict=True):
        np.testing.assert_array_equal(_gated(alone), together)


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
        block = lambda: (np.ones((2, 17, 100), np.complex64), np.full((1, 1, 17, 100), 0.5, np.float32))  # noqa: E731
        tracemalloc.start()
        for _ in gated((block() for _ in range(n_blocks)), GATE, SPECTROGRAM, window_s=WINDOW_S):
            pass
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return most

    assert peak(300) < 1.2 * peak(30)


@pytest.fixture
def song() -> np.ndarray:
    return music(np.random.default_rng(3), 3 * RATE_HZ)


NEARLY_SHUT = -0.001  # only an instrument as loud as the song would open it


def test_separation_has_no_gate_unless_one_is_asked_for(song, tmp_path):
    model = load_model(tiny_model(tmp_path / "model"))
    plain = splitstrument.separate(song, RATE_HZ, model=model)
    options = SeparationOptions(gate_db=NEARLY_SHUT)
    faded = splitstrument.separate(song, RATE_HZ, model=model, options=options)
    assert np.sum(faded.instrument**2) < 0.3 * np.sum(plain.instrument**2)
    assert np.abs(faded.instrument + faded.rest - song).max() < 1e-6


def test_a_model_has_a_gate_of_its_own_which_an_option_replaces(song, tmp_path):
    plain = tiny_model(tmp_path / "plain")
    gates = {"gate_db": -20, "rest_gate_db": NEARLY_SHUT}
    own = load_model(tiny_model(tmp_path / "own", tiny_settings(**gates)))
    options = SeparationOptions(**gates)
    asked = splitstrument.separate(song, RATE_HZ, model=load_model(plain), options=options)
    np.testing.assert_array_equal(splitstrument.separate(song, RATE_HZ, model=own).instrument, asked.instrument)
    none = SeparationOptions(gate_db=-120, rest_gate_db=-120)
    ungated = splitstrument.separate(song, RATE_HZ, model=own, options=none)
    expected = splitstrument.separate(song, RATE_HZ, model=load_model(plain))
    np.testing.assert_array_equal(ungated.instrument, expected.instrument)
    assert np.sum(asked.rest**2) < 0.3 * np.sum(expected.rest**2)


def test_the_command_line_takes_it_and_the_sidecar_says_so(song, tmp_path):
    model = tiny_model(tmp_path / "model").path
    splitstrument.audio.write(tmp_path / "song.wav", song, RATE_HZ)
    energies = []
    for name, flags in (("plain", []), ("gated", ["--gate", str(NEARLY_SHUT)])):
        arguments = ["separate", str(tmp_path / "song.wav"), "-m", str(model), "-o", str(tmp_path / name), *flags]
        result = CliRunner().invoke(cli, arguments)
        assert result.exit_code == 0, result.output
        options = json.loads((tmp_path / name / "song" / "separation.json").read_text())["options"]
        assert options["gate_db"] == (NEARLY_SHUT if flags else NO_GATE_DB) and options["rest_gate_db"] == NO_GATE_DB
        instrument, _ = splitstrument.audio.read(tmp_path / name / "song" / "instrument.wav")
        energies.append(np.sum(instrument**2))
    assert energies[1] < energies[0]


def test_a_gate_above_the_song_is_refused(song, tmp_path):
    splitstrument.audio.write(tmp_path / "song.wav", song, RATE_HZ)
    arguments = ["separate", str(tmp_path / "song.wav"), "-o", str(tmp_path / "out"), "--gate", "3"]
    with pytest.raises(SettingsError, match="gate_db"):
        CliRunner().invoke(cli, arguments, catch_exceptions=False)
