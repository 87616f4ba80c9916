"""Readers: orders of channels, loudspeakers, tags, and that each of the three reads what the others do."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from odd_inputs import INPUTS, RATE, media, sound

from splitstrument.audio import AudioWriter, Tags, ffmpeg, open_audio, read
from splitstrument.audio.channels import mask_of_wav
from splitstrument.audio.ffmpeg import FfmpegReader
from splitstrument.audio.media import MediaError, MediaReader
from splitstrument.audio.sections import Section, SectionFile

NOTES_HZ = [300, 400, 500, 60, 700, 800]  # 5.1 in WAV order
SUFFIXES = {"wav": "FLOAT", "flac": "PCM_24", "ogg": None, "mp3": None}


def surround(n_samples=RATE, rate=RATE):
    return (0.1 * np.sin(2 * np.pi * np.arange(n_samples)[:, None] * NOTES_HZ / rate)).astype(np.float32)


def loudest_hz(audio, rate):
    return [
        round(float(f)) for f in np.abs(np.fft.rfft(audio[:rate], axis=0)).argmax(axis=0) * rate / len(audio[:rate])
    ]


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg"])
def test_surround_leaves_and_arrives_in_wav_order(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    with AudioWriter(path, RATE, 6) as writer:
        writer.write(surround())
    assert loudest_hz(*read(path)) == NOTES_HZ
    pytest.importorskip("av", reason="needs PyAV: pip install 'splitstrument[media]'")
    other = MediaReader(path)  # FFmpeg's own opinion of the order
    assert loudest_hz(other.read(RATE), RATE) == NOTES_HZ
    other.close()


def test_wav_keeps_its_loudspeakers(tmp_path):
    quad, side = 0x33, 0x60F  # 5.1 with side loudspeakers
    for n_channels, mask in ((4, quad), (6, side)):
        with AudioWriter(tmp_path / "a.wav", RATE, n_channels, channel_mask=mask) as writer:
            writer.write(sound(100, n_channels))
        assert mask_of_wav((tmp_path / "a.wav").read_bytes()) == mask
        with open_audio(tmp_path / "a.wav") as file:
            assert file.channel_mask == mask and file.read(1000).shape == (100, n_channels)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_tags_are_kept(tmp_path, suffix):
    tags = Tags("Lied", "Jemand", "Platte", "1999", "3")
    with AudioWriter(tmp_path / f"a.{suffix}", RATE, 2, SUFFIXES[suffix], tags=tags.for_stem("guitar")) as writer:
        writer.write(sound())
    with open_audio(tmp_path / f"a.{suffix}") as file:
        assert file.tags == Tags("Lied (guitar)", "Jemand", "Platte", "1999", "3")


def test_tags_are_one_clean_line():
    found = Tags.of({"TITLE": "a\0b\nc", "track": 7, "ARTIST": b"\xff", "year": "x" * 9999})
    assert (found.title, found.tracknumber, found.artist, len(found.date)) == ("a b c", "7", "�", 500)
    assert Tags().for_stem("guitar") == Tags()


@pytest.mark.parametrize("name", ["m4a", "alac", "m4a-fast", "mkv", "flac-in-ogg", "wavpack"])
def test_ffmpeg_reads_what_pyav_reads(tmp_path, name):
    pytest.importorskip("av", reason="needs PyAV: pip install 'splitstrument[media]'")
    if not ffmpeg.is_installed():
        pytest.skip("needs the program ffmpeg")
    path = tmp_path / INPUTS[name].file
    path.write_bytes(INPUTS[name].make())
    one, other = MediaReader(path), FfmpegReader(path)
    assert (one.sample_rate_hz, one.n_channels) == (other.sample_rate_hz, other.n_channels)
    assert other.tags == (Tags() if name in ("flac-in-ogg", "wavpack") else one.tags)  # which WAV does not pass on
    assert np.abs(one.read(30000) - other.read(30000)).max() < 1e-4
    for reader in (one, other):
        reader.seek(1000)
        first = reader.read(10)
        reader.rewind()
        assert np.array_equal(reader.read(1010)[1000:], first)
        reader.close()


def test_lossless_media_are_exact(tmp_path):
    pytest.importorskip("av", reason="needs PyAV: pip install 'splitstrument[media]'")
    (tmp_path / "a.m4a").write_bytes(media("ipod", "alac", sample="s32p"))
    with open_audio(tmp_path / "a.m4a") as file:
        assert file.subtype == "PCM_24" and file.tags.title == "Lied"
        assert np.abs(file.read(RATE) - sound()).max() <= 2.0**-23


@pytest.mark.parametrize("text", ["#EXTM3U\n#EXTINF:1,\n{}\n", "ffconcat version 1.0\nfile '{}'\n"])
def test_lists_of_other_files_open_nothing(tmp_path, text):
    soundfile.write(tmp_path / "secret.wav", sound(), RATE)
    path = tmp_path / "list.mp3"
    path.write_bytes(text.format(tmp_path / "secret.wav").encode())
    readers = [FfmpegReader] if ffmpeg.is_installed() else []
    readers += [MediaReader] if pytest.importorskip("av") else []
    for reader in readers:
        with pytest.raises(MediaError):
            reader(path)


def test_a_section_is_read_as_a_file(tmp_path, rng):
    content = rng.integers(0, 256, 1000, np.uint8).tobytes()
    (tmp_path / "a").write_bytes(content)
    file = SectionFile(tmp_path / "a", Section(100, 900, {150: b"patch"}, inserted=(200, b"new")))
    expected = content[100:150] + b"patch" + content[155:200] + b"new" + content[200:900]
    assert file.read() == expected
    for start in rng.integers(0, len(expected), 50).tolist():
        file.seek(start)
        assert file.read(70) == expected[start : start + 70]
