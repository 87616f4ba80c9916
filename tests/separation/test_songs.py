"""Separation end to end in process: against a slow reference, and the lossless contract on every format."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import soundfile
from tiny_models import music, reference_mask, tiny_model, tiny_settings

import splitstrument
from splitstrument.audio import read, resample, write
from splitstrument.errors import AudioFileError, CancelledError, SettingsError
from splitstrument.executor import InlineExecutor
from splitstrument.network.chunks import chunk_count, chunk_start, cut_chunk
from splitstrument.separation import outputs
from splitstrument.separation.batch import make_plan, run_plan
from splitstrument.separation.options import MaskOptions, SeparationOptions
from splitstrument.separation.pipeline import load_model
from splitstrument.separation.songs import reprocess_file, separate_file
from splitstrument.spectrogram import istft, stft


@pytest.fixture
def model(tmp_path):
    return load_model(tiny_model(tmp_path / "model").path)


def slow_reference(audio, rate, settings):
    """The thesis's way, on the whole song at once: chunks side by side, no streaming, no batches."""
    spectrogram, size = settings.spectrogram, settings.n_frames
    song = resample(audio, rate, spectrogram.sample_rate_hz)
    mixture = stft(song, spectrogram.n_fft)
    magnitude = np.abs(mixture.mean(axis=0))
    mask = np.zeros((magnitude.shape[0], 0))
    for index in range(chunk_count(magnitude.shape[1], size, size)):
        chunk = cut_chunk(magnitude, chunk_start(index, size, size), size)
        mask = np.concatenate([mask, reference_mask(chunk / (chunk.max() or 1))], axis=1)
    mask = np.clip(mask[:, size // 2 : size // 2 + magnitude.shape[1]], 0, 1)
    instrument = istft((mixture * mask).astype(np.complex64), len(song), spectrogram.n_fft)
    return resample(instrument, spectrogram.sample_rate_hz, rate)[: len(audio)]


@pytest.mark.parametrize(("rate", "n_samples", "n_channels"), [(22050, 30001, 1), (44100, 50000, 2), (8000, 9000, 2)])
def test_equals_the_slow_reference(rng, model, rate, n_samples, n_channels):
    song = music(rng, n_samples, n_channels)
    separation = splitstrument.separate(song, rate, model)
    expected = slow_reference(song, rate, model.settings)
    assert np.abs(separation.instrument - expected).max() < 2e-5
    assert np.abs(separation.instrument + separation.rest - song).max() < 1e-6
    assert np.abs(expected).max() > 0.01  # the mask did something


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
@pytest.mark.parametrize("channels", ["mix", "magnitude", "each"])
def test_does_not_depend_on_the_block_size(rng, tmp_path, model, overlap, channels):
    write(tmp_path / "song.wav", music(rng, 20011), 32000, "FLOAT")
    options = SeparationOptions(overlap=overlap, channels=channels)
    stems = []
    for block_size in (333, 4096, 10**6):
        done = separate_file(tmp_path / "song.wav", tmp_path / "out", model, options, block_size=block_size)
        stems.append(read(done.instrument)[0])
    assert all(np.abs(stem - stems[0]).max() < 1e-6 for stem in stems)


@pytest.mark.parametrize(
    ("subtype", "rate", "n_channels"),
    [
        ("PCM_U8", 8000, 1),
        ("PCM_16", 44100, 2),
        ("PCM_16", 192000, 1),
        ("PCM_24", 48000, 8),
        ("PCM_32", 44100, 2),
        ("FLOAT", 44100, 2),
        ("DOUBLE", 96000, 2),
        ("ULAW", 8000, 1),
    ],
)
def test_instrument_and_rest_are_the_song(rng, tmp_path, model, subtype, rate, n_channels):
    soundfile.write(tmp_path / "song.wav", music(rng, 15013, n_channels), rate, subtype=subtype)
    done = separate_file(tmp_path / "song.wav", tmp_path / "out", model)
    for path in (done.instrument, done.rest):
        info = soundfile.info(path)
        assert (info.samplerate, info.frames, info.channels) == (rate, 15013, n_channels)
        assert info.subtype == ("PCM_16" if subtype == "ULAW" else subtype)
    song, instrument, rest = (_wide(path) for path in (tmp_path / "song.wav", done.instrument, done.rest))
    null = instrument + rest - song
    if subtype in ("FLOAT", "DOUBLE"):
        assert np.sum(null**2) < 1e-12 * np.sum(song**2)
        assert done.null_db < -120
    else:
        assert not null.any() and done.null_db == -np.inf
    assert np.abs(instrument).max() > 0.01


def _wide(path):
    """Samples without any rounding."""
    dtype = "int32" if soundfile.info(path).subtype not in ("FLOAT", "DOUBLE") else "float64"
    samples = soundfile.read(path, dtype=dtype, always_2d=True)[0]
    return samples / 2.0**31 if dtype == "int32" else samples


@pytest.mark.parametrize("extension", ["flac", "aiff", "ogg", "mp3"])
def test_other_sources(rng, tmp_path, model, extension):
    write(tmp_path / f"song.{extension}", music(rng, 30000), 44100)
    decoded = soundfile.read(tmp_path / f"song.{extension}", always_2d=True)[0]
    done = separate_file(tmp_path / f"song.{extension}", tmp_path / "out", model)
    total = _wide(done.instrument) + _wide(done.rest)
    assert total.shape == decoded.shape
    assert np.abs(total - decoded).max() < 1e-7 * (extension in ("ogg", "mp3")) + 1e-12


@pytest.mark.parametrize("extension", ["flac", "ogg", "mp3"])
def test_other_outputs(rng, tmp_path, model, extension):
    write(tmp_path / "song.wav", music(rng, 44100), 44100, "PCM_16")
    done = separate_file(tmp_path / "song.wav", tmp_path / "out", model, SeparationOptions(format=extension))
    assert done.instrument.name == f"instrument.{extension}"
    song, instrument, rest = (
        soundfile.read(path, always_2d=True)[0] for path in (tmp_path / "song.wav", done.instrument, done.rest)
    )
    if extension == "flac":
        assert np.array_equal(instrument + rest, song) and done.null_db == -np.inf
    else:
        assert done.null_db is None
        assert np.corrcoef((instrument + rest)[:40000, 0], song[:40000, 0])[0, 1] > 0.9


@pytest.mark.parametrize("n_samples", [1, 2, 255, 257, 511, 4097])
def test_short_songs(rng, tmp_path, model, n_samples):
    write(tmp_path / "song.wav", music(rng, n_samples), 44100, "PCM_16")
    done = separate_file(tmp_path / "song.wav", tmp_path / "out", model)
    assert done.n_samples == n_samples
    assert np.array_equal(_wide(done.instrument) + _wide(done.rest), _wide(tmp_path / "song.wav"))


@pytest.mark.parametrize("extension", ["wav", "flac"])
@pytest.mark.parametrize("quiet", [0, 400_000])
def test_integers_that_would_clip_become_floats(rng, tmp_path, extension, quiet):
    """A model at another rate overshoots at square edges; nothing is rescaled, the sum stays exact."""
    model = load_model(tiny_model(tmp_path / "model", tiny_settings(8000), kernel=np.full((3, 3), 9, np.float32)).path)
    square = np.sign(np.sin(np.arange(500_000) * 0.02))[:, None].astype(np.float32) * (1 - 2**-15)
    square[:quiet] *= 0.5
    write(tmp_path / "song.wav", square, 44100, "PCM_16")
    done = separate_file(tmp_path / "song.wav", tmp_path / "out", model, SeparationOptions(format=extension))
    assert done.subtype == "FLOAT" and done.instrument.suffix == ".wav"
    assert any("clipped" in warning for warning in done.warnings)
    instrument, rest, song = (_wide(path) for path in (done.instrument, done.rest, tmp_path / "song.wav"))
    assert np.abs(instrument).max() > 1
    assert 10 * np.log10(np.sum((instrument + rest - song) ** 2) / np.sum(song**2)) < -120
    assert sorted(path.name for path in (tmp_path / "out" / "song").iterdir()) == [
        "instrument.wav", "rest.wav", "separation.json",
    ]  # fmt: skip


def test_a_part_of_a_song(rng, tmp_path, model):
    song = music(rng, 44100 * 3)
    write(tmp_path / "song.wav", song, 44100, "FLOAT")
    options = SeparationOptions(start_s=1.0, duration_s=0.5)
    done = separate_file(tmp_path / "song.wav", tmp_path / "out", model, options)
    assert done.n_samples == 22050
    assert np.allclose(read(done.instrument)[0] + read(done.rest)[0], song[44100:66150], atol=1e-6)
    with pytest.raises(AudioFileError, match=r"3\.00 s long"):
        separate_file(tmp_path / "song.wav", tmp_path / "out", model, SeparationOptions(start_s=3))


def test_what_the_model_cannot_hear_stays_in_the_rest(tmp_path):
    model = load_model(tiny_model(tmp_path / "model", kernel=np.full((3, 3), 50, np.float32)).path)
    tone = 0.5 * np.sin(2 * np.pi * 15000 * np.arange(44100) / 44100).astype(np.float32)[:, None]
    separation = splitstrument.separate(tone, 44100, model)
    assert np.abs(separation.instrument[2000:-2000]).max() < 1e-4


def test_progress_and_cancelling(rng, tmp_path, model):
    write(tmp_path / "song.wav", music(rng, 100000), 44100, "PCM_16")
    seen = []
    separate_file(tmp_path / "song.wav", tmp_path / "out", model, progress=lambda *pair: seen.append(pair))
    assert seen[0] == (0, 100000 / 44100) and seen[-1] == (100000 / 44100, 100000 / 44100)
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    with pytest.raises(CancelledError):
        separate_file(tmp_path / "song.wav", tmp_path / "new", model, progress=lambda done, total: done < 0.5)
    assert not (tmp_path / "new").exists()
    assert not [thread.name for thread in threading.enumerate() if thread.name == "splitstrument-ahead"]


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interruption_leaves_the_old_files_only(rng, tmp_path, model, error):
    write(tmp_path / "song.wav", music(rng, 100000), 44100, "PCM_16")
    before = separate_file(tmp_path / "song.wav", tmp_path / "out", model, SeparationOptions(keep_mask=True))
    content = {path: path.read_bytes() for path in before.sidecar.parent.iterdir()}

    def stop(done_s, total_s):
        if done_s > 0.5:
            raise error

    with pytest.raises(error):
        separate_file(tmp_path / "song.wav", tmp_path / "out", model, SeparationOptions(keep_mask=True), stop)
    assert {path: path.read_bytes() for path in before.sidecar.parent.iterdir()} == content


def test_a_truncated_song_is_refused(rng, tmp_path, model):
    write(tmp_path / "song.flac", music(rng, 100000), 44100)
    (tmp_path / "song.flac").write_bytes((tmp_path / "song.flac").read_bytes()[:60000])
    with pytest.raises(AudioFileError, match="damaged|cut off"):
        separate_file(tmp_path / "song.flac", tmp_path / "out", model)
    assert not (tmp_path / "out").exists()


CONTAINERS = [("WAV", "PCM_16"), ("WAVEX", "PCM_24"), ("RF64", "FLOAT"), ("W64", "PCM_16"), ("AIFF", "PCM_16"),
              ("AU", "PCM_16")]  # fmt: skip


@pytest.mark.parametrize(("container", "subtype"), CONTAINERS)
def test_a_song_shorter_than_its_header_says_is_refused_and_can_be_saved(rng, tmp_path, model, container, subtype):
    song = tmp_path / "song.wav"
    soundfile.write(song, music(rng, 60000), 44100, subtype, format=container)
    separate_file(song, tmp_path / "whole", model)
    song.write_bytes(song.read_bytes()[: song.stat().st_size // 2])
    with pytest.raises(AudioFileError, match=r"ends before the length that its header gives: .* --duration 0\.6"):
        separate_file(song, tmp_path / "out", model)
    assert separate_file(song, tmp_path / "out", model, SeparationOptions(duration_s=0.5)).n_samples == 22050


@pytest.mark.parametrize("unknown", [0xFFFFFFFF, 0x7FFFFFFF, 0x7FFFF000, 0x7F000000])
def test_a_stream_whose_writer_did_not_know_its_length_is_taken(rng, tmp_path, model, unknown):
    song = tmp_path / "song.wav"
    write(song, music(rng, 30000), 44100, "PCM_16")
    content = bytearray(song.read_bytes())
    for place in (4, content.index(b"data") + 4):
        content[place : place + 4] = unknown.to_bytes(4, "little")
    song.write_bytes(content)
    assert separate_file(song, tmp_path / "out", model).n_samples == 30000


def test_an_mp3_that_ends_before_its_length_gets_a_warning(rng, tmp_path, model):
    song = tmp_path / "song.mp3"
    write(song, music(rng, 130000), 44100)
    assert not any("cut off" in warning for warning in separate_file(song, tmp_path / "a", model).warnings)
    song.write_bytes(song.read_bytes()[: song.stat().st_size // 2])
    assert any("it may be cut off" in warning for warning in separate_file(song, tmp_path / "b", model).warnings)


def test_infinite_values_are_refused(rng, tmp_path, model):
    song = music(rng, 10000)
    song[5000] = np.inf
    soundfile.write(tmp_path / "song.wav", song, 44100, subtype="FLOAT")
    with pytest.raises(AudioFileError, match="NaN or infinity"):
        separate_file(tmp_path / "song.wav", tmp_path / "out", model)


def test_same_input_same_bytes(rng, tmp_path, model):
    write(tmp_path / "song.wav", music(rng, 50000), 44100, "PCM_24")
    first = separate_file(tmp_path / "song.wav", tmp_path / "a", model)
    second = separate_file(tmp_path / "song.wav", tmp_path / "b", model)
    assert first.instrument.read_bytes() == second.instrument.read_bytes()
    assert first.rest.read_bytes() == second.rest.read_bytes()


def test_a_stored_mask_stands_in_for_the_network(rng, tmp_path, model):
    write(tmp_path / "song.wav", music(rng, 50000), 44100, "FLOAT")
    done = separate_file(tmp_path / "song.wav", tmp_path / "a", model, SeparationOptions(keep_mask=True))
    again = reprocess_file(tmp_path / "song.wav", done.mask, tmp_path / "b")
    instrument, _ = read(done.instrument)
    error = read(again.instrument)[0] - instrument
    assert 10 * np.log10(np.sum(error**2) / np.sum(instrument**2)) < -45
    assert again.null_db < -120
    options = SeparationOptions(mask=MaskOptions(strength=2))
    stronger = reprocess_file(tmp_path / "song.wav", done.mask, tmp_path / "c", options)
    direct = separate_file(tmp_path / "song.wav", tmp_path / "d", model, options)
    error = read(stronger.instrument)[0] - read(direct.instrument)[0]
    assert 10 * np.log10(np.sum(error**2) / np.sum(instrument**2)) < -40
    assert np.sum(read(stronger.instrument)[0] ** 2) < np.sum(instrument**2)
    write(tmp_path / "other.wav", music(rng, 50000), 44100, "FLOAT")
    with pytest.raises(AudioFileError, match="another song"):
        reprocess_file(tmp_path / "other.wav", done.mask, tmp_path / "e")


def _flip(content, position):
    return content[:position] + bytes([content[position] ^ 0x55]) + content[position + 1 :]


def test_a_damaged_mask_is_refused(rng, tmp_path, model):
    write(tmp_path / "song.wav", music(rng, 50000), 44100, "FLOAT")
    done = separate_file(tmp_path / "song.wav", tmp_path / "a", model, SeparationOptions(keep_mask=True))
    content = done.mask.read_bytes()
    for damaged in (b"", b"no zip", content[: len(content) // 2], _flip(content, len(content) // 3)):
        done.mask.write_bytes(damaged)
        with pytest.raises(AudioFileError, match="no mask of Splitstrument"):
            reprocess_file(tmp_path / "song.wav", done.mask, tmp_path / "b")
    assert not (tmp_path / "b").exists()


def test_arrays_in_arrays_out(rng, model):
    song = music(rng, 20000, 2)
    before = song.copy()
    stereo = splitstrument.separate(song, 44100, model)
    assert stereo.instrument.shape == stereo.rest.shape == song.shape and stereo.instrument.dtype == np.float32
    assert np.array_equal(song, before)
    mono = splitstrument.separate(song[:, 0].tolist(), 44100, model)
    assert mono.instrument.shape == (20000,)
    for audio, rate in ((np.zeros((0, 2)), 44100), (np.zeros((2, 3, 4)), 44100), ([np.nan], 44100), ([1.0], 0)):
        with pytest.raises(SettingsError):
            splitstrument.separate(audio, rate, model)
    with pytest.raises(CancelledError):
        splitstrument.separate(song, 44100, model, progress=lambda *_: False)


@pytest.mark.parametrize("rate", [22050.0, np.float64(22050), np.int16(22050), np.array(22050), np.float32(22050)])
def test_whole_rates_of_any_type(rng, model, rate):
    song = music(rng, 3000)
    separation = splitstrument.separate(song, rate, model)
    assert (type(separation.sample_rate_hz), separation.sample_rate_hz) == (int, 22050)
    assert np.array_equal(separation.instrument, splitstrument.separate(song, 22050, model).instrument)


@pytest.mark.parametrize("rate", [44100.5, "44100", None, 0, -44100, 1e9, float("nan"), float("inf"), [44100], 1 + 0j])
def test_other_rates_are_refused_in_one_sentence(model, rate):
    with pytest.raises(SettingsError, match="no whole number between 100 and 1000000"):
        splitstrument.separate(np.zeros(100), rate, model)


def test_a_separation_shows_in_one_line(rng, model):
    separation = splitstrument.separate(music(rng, 22050), 22050, model)
    for shown in (repr(separation), repr(separation.activity), str([separation])):
        assert "\n" not in shown and len(shown) < 200
    assert "1.00 s" in repr(separation) and "22050x2 at 22050 Hz" in repr(separation)


def test_silence_stays_silent(model):
    separation = splitstrument.separate(np.zeros((30000, 2)), 44100, model)
    assert not separation.instrument.any() and not separation.rest.any()
    assert separation.warnings == ["The song is silent."]


def test_a_tilde_is_the_home_folder(rng, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path / "song.wav", music(rng, 8000), 16000, "FLOAT")
    folder = tiny_model(tmp_path / "model").path
    assert folder.is_relative_to(tmp_path)
    done = separate_file("~/song.wav", "~/stems", f"~/{folder.relative_to(tmp_path)}")
    assert done.sidecar.is_relative_to(tmp_path / "stems") and done.sidecar.is_file()


def test_a_batch_works_by_its_plan(rng, tmp_path, model, monkeypatch):
    """Names from tags need the song open: the plan has looked, and the work must not look (and differ) again."""
    song = tmp_path / "song.wav"
    write(song, music(rng, 9000), 22050, "PCM_16")
    with soundfile.SoundFile(song, "r+") as file:
        file.title = "The title"
    options = SeparationOptions(filename="{title}/{stem}.{ext}", keep_mask=True)
    plan = make_plan({song: None}, tmp_path / "out", model.folder, options)
    monkeypatch.setattr(outputs, "open_audio", lambda path: pytest.fail(f"{path} was opened once more"))
    (outcome,) = run_plan(plan, tmp_path / "out", model.folder, options, InlineExecutor())
    planned, made = plan.songs[0].outputs, outcome.get()
    assert planned["instrument"] == tmp_path / "out" / "The title" / "instrument.wav"
    assert planned == {**made.outputs, "separation": made.sidecar}
    assert all(path.is_file() for path in planned.values())
