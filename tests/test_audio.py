"""Reading, writing and resampling: real files of every format, and the mistakes people make."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import soundfile

from splitstrument import audio
from splitstrument import audio as audio_module
from splitstrument.audio import (
    AudioWriter,
    blocks,
    probe,
    read,
    resample,
    resample_blocks,
    resampled_length,
    write,
)
from splitstrument.audio.chunks import NEVER_WRITTEN
from splitstrument.errors import AudioFileError


def _sound(rng, n_samples=5000, n_channels=2):
    return (rng.standard_normal((n_samples, n_channels)) * 0.1).astype(np.float32)


@pytest.mark.parametrize(
    ("name", "subtype", "step"),
    [
        ("a.wav", "PCM_U8", 2**-7),
        ("a.wav", "PCM_16", 2**-15),
        ("a.wav", "PCM_24", 2**-23),
        ("a.wav", "PCM_32", 2**-24),
        ("a.wav", "FLOAT", 0),
        ("a.wav", "DOUBLE", 0),
        ("a.flac", "PCM_16", 2**-15),
        ("a.flac", "PCM_24", 2**-23),
        ("a.aiff", "PCM_24", 2**-23),
        ("a.caf", "FLOAT", 0),
    ],
)
def test_lossless_formats_come_back(rng, tmp_path, name, subtype, step):
    sound = _sound(rng)
    write(tmp_path / name, sound, 44100, subtype)
    info = probe(tmp_path / name)
    assert (info.n_samples, info.n_channels, info.sample_rate_hz, info.subtype) == (5000, 2, 44100, subtype)
    back, rate = read(tmp_path / name)
    assert rate == 44100 and back.dtype == np.float32
    assert np.abs(back - sound).max() <= step * 1.01


@pytest.mark.parametrize("name", ["a.mp3", "a.ogg", "Lied Übung 音楽.flac"])
def test_compressed_formats_and_unicode_names(rng, tmp_path, name):
    time = np.arange(44100)[:, None] / 44100
    sound = (0.3 * np.sin(2 * np.pi * 440 * time) * np.ones((1, 2))).astype(np.float32)
    write(tmp_path / name, sound, 44100)
    back, rate = read(tmp_path / name)
    n_samples = min(len(back), len(sound))
    assert rate == 44100 and abs(len(back) - len(sound)) < 3000
    assert np.corrcoef(back[5000 : n_samples - 5000, 0], sound[5000 : n_samples - 5000, 0])[0, 1] > 0.99


@pytest.mark.parametrize("block_size", [1, 7, 1000, 99999])
def test_blocks_are_the_file(rng, tmp_path, block_size):
    sound = _sound(rng, 2000)
    write(tmp_path / "a.wav", sound, 8000, "FLOAT")
    parts = list(blocks(tmp_path / "a.wav", block_size))
    assert all(len(part) == block_size for part in parts[:-1])
    assert np.array_equal(np.concatenate(parts), sound)


def test_part_and_mono(rng, tmp_path):
    sound = _sound(rng)
    write(tmp_path / "a.wav", sound, 8000, "FLOAT")
    part, _ = read(tmp_path / "a.wav", start=100, n_samples=50, mono=True)
    assert np.allclose(part[:, 0], sound[100:150].mean(axis=1))
    assert len(read(tmp_path / "a.wav", start=10**9)[0]) == 0


@pytest.mark.parametrize(("from_hz", "to_hz"), [(44100, 22050), (48000, 22050), (8000, 22050), (192000, 22050)])
def test_resampling_does_not_depend_on_blocks(rng, from_hz, to_hz):
    sound = _sound(rng, 30011)
    results = []
    for size in (1, 997, 4096, 30011):
        if size == 1:
            cut = iter(np.split(sound, [1, 2, 3, 10000]))
        else:
            cut = iter(np.split(sound, range(size, len(sound), size)))
        results.append(np.concatenate(list(resample_blocks(cut, 2, from_hz, to_hz))))
    assert {len(result) for result in results} == {resampled_length(30011, from_hz, to_hz)}
    assert all(np.abs(result - results[0]).max() < 1e-6 for result in results)
    whole = resample(sound, from_hz, to_hz)
    assert np.abs(results[0] - whole).max() < 1e-6


def test_resampling_keeps_a_tone_and_its_phase():
    time = np.arange(44100) / 44100
    tone = np.sin(2 * np.pi * 1000 * time).astype(np.float32)[:, None]
    expected = np.sin(2 * np.pi * 1000 * np.arange(22050) / 22050)
    assert np.abs(resample(tone, 44100, 22050)[500:-500, 0] - expected[500:-500]).max() < 1e-4


def _write_bytes(path, content):
    path.write_bytes(content)
    return path


def test_mistakes_get_a_sentence(tmp_path, rng):
    write(tmp_path / "good.wav", _sound(rng), 44100)
    cases = {
        "no such file": (tmp_path / "nothing.wav", "cannot be opened"),
        "empty": (_write_bytes(tmp_path / "empty.wav", b""), "is empty"),
        "text": (_write_bytes(tmp_path / "text.wav", b"these are words, not sounds\n" * 99), "cannot be read as audio"),
        "a folder": (tmp_path, "is a folder"),
        "other format": (
            _write_bytes(tmp_path / "song.m4a", b"\0\0\0\x20ftypM4A " + bytes(999)),
            "cannot be read as audio",
        ),
    }
    for path, message in cases.values():
        with pytest.raises(AudioFileError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_values_that_are_not_numbers_are_refused(tmp_path):
    sound = np.zeros((1000, 1), np.float32)
    sound[500] = np.nan
    soundfile.write(tmp_path / "nan.wav", sound, 8000, subtype="FLOAT")
    with pytest.raises(AudioFileError, match="NaN"):
        read(tmp_path / "nan.wav")
    with pytest.raises(AudioFileError, match="NaN"):
        list(blocks(tmp_path / "nan.wav"))


def test_a_failure_leaves_no_file(tmp_path, rng):
    with pytest.raises(RuntimeError), AudioWriter(tmp_path / "a.wav", 44100, 2) as writer:
        writer.write(_sound(rng))
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []


def test_a_discarded_file_is_gone_and_the_old_one_stays(tmp_path, rng):
    write(tmp_path / "a.wav", _sound(rng, 10), 44100)
    writer = AudioWriter(tmp_path / "a.wav", 44100, 2).__enter__()
    writer.write(_sound(rng))
    writer.close()
    assert probe(writer.temporary).n_samples == 5000
    writer.discard()
    assert [path.name for path in tmp_path.iterdir()] == ["a.wav"]
    assert probe(tmp_path / "a.wav").n_samples == 10


def test_wav_that_may_pass_four_gigabytes_becomes_rf64(tmp_path, rng):
    sound = _sound(rng)
    with AudioWriter(tmp_path / "a.wav", 44100, 2, "PCM_16", n_samples=2**30) as writer:
        writer.write(sound)
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RF64"
    assert probe(tmp_path / "a.wav").n_samples == 5000
    assert np.abs(read(tmp_path / "a.wav")[0] - sound).max() < 2**-15


def test_formats_that_cannot_hold_the_audio_say_so(tmp_path, rng):
    with pytest.raises(AudioFileError, match="choose another format"):
        write(tmp_path / "a.mp3", _sound(rng, n_channels=6), 44100)
    with pytest.raises(AudioFileError, match=r"'\.xyz' is no audio format"):
        write(tmp_path / "a.xyz", _sound(rng), 44100)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_decoder_is_named(tmp_path, monkeypatch):
    for module in (audio_module.media, audio_module.ffmpeg):
        monkeypatch.setattr(module, "is_installed", lambda: False)
    with pytest.raises(AudioFileError, match=r"splitstrument\[media\]"):
        probe(_write_bytes(tmp_path / "song.m4a", b"\0\0\0\x20ftypM4A " + bytes(999)))


def test_a_full_disk_is_named_and_leaves_nothing(tmp_path):
    """A process whose files may not grow past 200 kB stands for a full disk."""
    script = (
        "import resource, signal, sys, numpy\n"
        "from splitstrument.audio import AudioWriter\n"
        "from splitstrument.errors import AudioFileError\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))\n"
        "noise = numpy.random.default_rng(0).standard_normal((44100, 2)).astype('float32') / 10\n"
        "for name in ('a.wav', 'a.flac', 'a.ogg'):\n"
        "    try:\n"
        "        with AudioWriter(f'{sys.argv[1]}/{name}', 44100, 2) as writer:\n"
        "            [writer.write(noise) for _ in range(60)]\n"
        "    except AudioFileError as error:\n"
        "        print(error)\n"
    )
    run = subprocess.run([sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, check=True)
    assert run.stdout.count("is the disk full?") == 3, run.stdout + run.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a.wav", "a.aiff"])
def test_bytes_do_not_hold_the_time_of_writing(tmp_path, rng, name):
    """libsndfile's PEAK chunk of float files would: a separation repeated a second later would be another file."""
    samples = 0.1 * rng.standard_normal((100, 2)).astype(np.float32)
    write(tmp_path / name, samples, 8000, "FLOAT")
    written = (tmp_path / name).read_bytes()
    chunk = written.index(b"PEAK")
    assert written[chunk + 12 : chunk + 16] == bytes(4)
    np.testing.assert_array_equal(read(tmp_path / name)[0], samples)


def test_what_a_reader_has_to_say_is_logged_once_where_no_reader_is_handed_out(tmp_path, caplog):
    path = tmp_path / "lost_power.wav"
    soundfile.write(path, np.full((400, 1), 0.25), 8000, subtype="PCM_16")
    data = bytearray(path.read_bytes())
    data[4:8] = data[40:44] = bytes(4)  # sizes that a recorder never wrote
    path.write_bytes(data)
    for _ in range(2):
        assert sum(len(block) for block in audio.blocks(path)) == len(audio.read(path)[0]) == 400
    (record,) = caplog.records
    assert record.getMessage() == f"{path}: {NEVER_WRITTEN}"


@pytest.mark.parametrize("n_scraps", [3000, 12_000])
def test_scraps_of_streams_behind_a_song_end_no_batch(tmp_path, n_scraps):
    path = tmp_path / "scraps.wav"
    soundfile.write(path, np.full((400, 1), 0.25), 8000, subtype="PCM_16")
    path.write_bytes(path.read_bytes() + n_scraps * b"RIFF\x04\0\0\0WAVE")
    if n_scraps < 10_000:
        assert len(audio.read(path)[0]) == 400
    else:
        with pytest.raises(AudioFileError, match="more than 10000 streams"):
            audio.read(path)
