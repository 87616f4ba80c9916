"""The recogniser that ships: arrays, files and streams, in pieces of any size, and what is no song."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

import splitstrument
from splitstrument import audio
from splitstrument.cli import cli
from splitstrument.errors import AudioFileError, ModelError, SettingsError
from splitstrument.recipes import recipes_folder
from splitstrument.recognition import listen
from splitstrument.recognition.features import RATE_HZ
from splitstrument.recognition.listen import Listener, recognise_file
from splitstrument.recognition.model import MODEL_FILE, ONNX_FILE, SHIPPED, load_recogniser

SONGS = sorted((recipes_folder("datasets") / "sample" / "real").rglob("*.flac"))


@pytest.fixture(scope="module")
def song() -> np.ndarray:
    """Sixteen seconds of a real metal band, guitar and the rest, in stereo."""
    instrument = next(path for path in SONGS if path.name.startswith("instrument"))
    rest = next(instrument.parent.glob("rest*"))
    parts = [audio.read(path, RATE_HZ)[0] for path in (instrument, rest)]
    return np.repeat(np.sum(parts, axis=0)[: 16 * RATE_HZ, :1], 2, axis=1)


def test_a_metal_band_has_guitar_bass_or_drums_and_no_flute(song):
    heard = splitstrument.recognise(song, RATE_HZ)
    assert {"guitar", "drums"} <= set(heard.found())
    assert heard.song_probability("guitar") > heard.song_probability("winds")
    assert heard.absent("guitar") is None and "guitar" in heard.sentence()


def test_block_sizes_and_threads_change_nothing(song, monkeypatch):
    whole = splitstrument.recognise(song, RATE_HZ, every_s=0.5)
    monkeypatch.setattr(listen, "BLOCK", 1000)
    pieces = splitstrument.recognise(song, RATE_HZ, every_s=0.5)
    listener = Listener(song.shape[1], RATE_HZ, 0.5)
    for block in np.array_split(song, 13):
        listener.add(block)
    threaded = listener.finish()
    for name, curve in whole.probabilities.items():
        np.testing.assert_allclose(pieces.probabilities[name], curve, atol=1e-4)
        np.testing.assert_allclose(threaded.probabilities[name], curve, atol=1e-4)


def test_a_long_song_is_heard_like_its_parts_in_the_middle(song):
    """Chunks at a time, and where the batches of chunks begin, are not heard."""
    long = splitstrument.recognise(np.concatenate([song] * 4), RATE_HZ, every_s=1.0)
    short = splitstrument.recognise(song, RATE_HZ, every_s=1.0)
    difference = np.abs(long.probabilities["drums"][35:45] - short.probabilities["drums"][3:13])
    assert difference.mean() < 0.1


def test_an_inverted_channel_changes_nothing(song):
    one, other = (splitstrument.recognise(song * np.float32([1, sign]), RATE_HZ) for sign in (1, -1))
    np.testing.assert_array_equal(one.probabilities["guitar"], other.probabilities["guitar"])


@pytest.mark.parametrize("rate", [8000, 44_100, 96_000])
def test_any_rate_and_length_gives_values_for_all_of_it(rate, rng):
    for seconds in (1 / rate, 0.2, 3.3):
        noise = rng.normal(0, 0.1, max(1, int(seconds * rate))).astype(np.float32)
        heard = splitstrument.recognise(noise, rate)
        assert len(heard.probabilities["guitar"]) == max(1, int(np.ceil(seconds)))
        assert heard.duration_s == pytest.approx(len(noise) / rate)


def test_silence_holds_nothing():
    heard = splitstrument.recognise(np.zeros((10 * RATE_HZ, 2)), RATE_HZ)
    assert heard.found() == [] and heard.sentence() == "nothing that is known"


@pytest.mark.parametrize(
    ("song", "rate"), [(np.zeros((0, 2)), 44_100), (np.zeros((2, 2, 2)), 44_100), ([np.nan], 44_100), ([0.0], 441.5)]
)
def test_what_is_no_song_is_one_sentence(song, rate):
    with pytest.raises(SettingsError, match="Audio should be|sample rate"):
        splitstrument.recognise(song, rate)


@pytest.mark.parametrize(
    ("song", "said"), [(np.zeros((2, 44_100)), "transpose it"), (np.full((44_100, 2), 1e7), "full scale should be")]
)
def test_arrays_with_too_many_channels_or_too_large_values_are_refused(song, said):
    with pytest.raises(SettingsError, match=said):
        splitstrument.recognise(song, 44_100)


@pytest.mark.parametrize(
    ("rate", "value", "said"),
    [(500, 0.1, "1 channels at 500 Hz"), (8000, 1e7, "1e.07 times full scale"), (8000, np.nan, "not numbers")],
)
def test_files_that_no_song_can_be_are_one_sentence(tmp_path, rate, value, said):
    soundfile.write(tmp_path / "song.wav", np.full(rate, value), rate, subtype="FLOAT")
    with pytest.raises(AudioFileError, match=said):
        recognise_file(tmp_path / "song.wav")


def test_files_that_are_no_songs_do_not_stop_the_others(song, tmp_path):
    audio.write(tmp_path / "song.flac", song, RATE_HZ)
    (tmp_path / "broken.wav").write_bytes(b"RIFF no song at all")
    result = CliRunner().invoke(cli, ["recognise", str(tmp_path), "--json", "--every", "2"])
    data = json.loads(result.stdout)
    assert result.exit_code == 1 and list(data["failed"]) == [str(tmp_path / "broken.wav")]
    (heard,) = data["songs"].values()
    assert len(heard["probabilities"]["guitar"]) == 8 and "guitar" in heard["plays"]
    result = CliRunner().invoke(cli, ["recognise", str(tmp_path / "song.flac"), "--table", "--quiet"])
    assert result.exit_code == 0 and "guitar" in result.stdout and "reeds and flutes" in result.stdout


def test_an_impossible_distance_is_one_sentence(song, tmp_path):
    audio.write(tmp_path / "song.flac", song, RATE_HZ)
    with pytest.raises(SettingsError, match="every_s.*received 0"):
        recognise_file(tmp_path / "song.flac", every_s=0)
    with pytest.raises(AudioFileError, match="cannot be opened"):
        recognise_file(tmp_path / "none.flac")


def test_damaged_models_are_refused(tmp_path):
    with pytest.raises(ModelError, match=f"has no {MODEL_FILE}"):
        load_recogniser(tmp_path)
    for name in (MODEL_FILE, ONNX_FILE):
        shutil.copy(SHIPPED / name, tmp_path)
    with (tmp_path / ONNX_FILE).open("r+b") as file:
        file.truncate(1000)
    with pytest.raises(ModelError, match="damaged or was changed"):
        load_recogniser(tmp_path)


def test_the_shipped_model_is_small():
    assert (SHIPPED / ONNX_FILE).stat().st_size <= 8_000_000
