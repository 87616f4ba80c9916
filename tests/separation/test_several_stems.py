"""Several instruments at once, in stereo: everything written sums to the song, whatever the channels and the blocks."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
from tiny_models import BIAS, band_kernel, band_settings, music, tiny_model

import splitstrument
from splitstrument.audio import read, resample, write
from splitstrument.errors import SettingsError
from splitstrument.files import sha256_of
from splitstrument.network.chunks import chunk_count, chunk_start, cut_chunk
from splitstrument.network.stereo import apply_mid_side, cancels, exchanged, mid_side
from splitstrument.separation.options import MaskOptions, SeparationOptions
from splitstrument.separation.pipeline import load_model
from splitstrument.separation.rerun import rerun_sidecar
from splitstrument.separation.songs import reprocess_file, separate_file
from splitstrument.spectrogram import istft, stft

STEMS = ("guitar", "piano", "bass")


def _band(path, channels="mid_side", **more):
    settings = band_settings(STEMS, channels, **more)
    return tiny_model(path, settings, band_kernel(settings))


@pytest.fixture(scope="module")
def band(tmp_path_factory):
    return load_model(_band(tmp_path_factory.mktemp("band") / "model"))


@pytest.fixture(scope="module", params=["mono", "mid_side"])
def either(request, tmp_path_factory):
    """A model of several instruments that hears in mono, and one that hears mid and side."""
    return load_model(_band(tmp_path_factory.mktemp(request.param) / "model", request.param))


def _wide(path):
    """Samples as exact numbers."""
    samples, _ = soundfile.read(path, always_2d=True, dtype="float64")
    return samples


def _masks_of(chunks, settings):
    """The masks (n_stems, n_views, n_bins, n_frames) of one chunk (n_views, n_bins, n_frames), by shifts."""
    padded = np.pad(chunks.astype(np.float64), ((0, 0), (1, 1), (1, 1)))
    n_bins, n_frames = chunks.shape[1:]
    answers = []
    for kernel in band_kernel(settings):
        total = np.full((n_bins, n_frames), BIAS)
        for view, row, column in np.ndindex(kernel.shape):
            total += kernel[view, row, column] * padded[view, row : row + n_bins, column : column + n_frames]
        answers.append(1 / (1 + np.exp(-total)))
    return np.stack(answers).reshape(len(settings.names), settings.n_views, n_bins, n_frames)


def _slow_reference(audio, rate, settings):
    """The instruments (n_stems, n_samples, n_channels), chunk by chunk on the whole song at once."""
    spectrogram, size = settings.spectrogram, settings.n_frames
    song = resample(audio, rate, spectrogram.sample_rate_hz)
    mixture = stft(song, spectrogram.n_fft)
    views, parts = mid_side(mixture), []
    for index in range(chunk_count(views.shape[-1], size, size)):
        chunk = cut_chunk(views, chunk_start(index, size, size), size)
        turned = cancels(chunk)
        masks = _masks_of(exchanged(chunk, turned) / (chunk.max() or 1), settings)
        parts.append(exchanged(masks, np.full(len(masks), turned)))
    masks = np.concatenate(parts, axis=-1)[..., size // 2 : size // 2 + views.shape[-1]]
    spectra = apply_mid_side(mixture, masks.astype(np.float32))
    stems = (istft(spectrum, len(song), spectrogram.n_fft) for spectrum in spectra)
    return np.stack([resample(stem, spectrogram.sample_rate_hz, rate)[: len(audio)] for stem in stems])


@pytest.mark.parametrize(("rate", "n_channels"), [(22050, 1), (44100, 2), (32000, 5)])
def test_equals_the_slow_reference(rng, band, rate, n_channels):
    song = music(rng, 30001, n_channels)
    done = splitstrument.separate(song, rate, band)
    expected = _slow_reference(song, rate, band.settings)
    assert list(done.stems) == [*STEMS, "rest"]
    for stem, samples in zip(STEMS, expected, strict=True):
        assert np.abs(done.stems[stem] - samples).max() < 5e-5
    assert np.abs(expected[0] - expected[1]).max() > 0.01
    assert np.abs(sum(done.stems.values()) - song).max() < 1e-6


@pytest.mark.parametrize(
    ("subtype", "n_channels", "format_"),
    [("PCM_16", 2, "wav"), ("PCM_24", 8, "flac"), ("PCM_U8", 1, "wav"), ("FLOAT", 3, "wav"), ("DOUBLE", 2, "wav")],
)
def test_everything_written_is_the_song(rng, tmp_path, either, subtype, n_channels, format_):
    write(tmp_path / "song.wav", music(rng, 20011, n_channels, peak=0.3), 44100, subtype)
    done = separate_file(tmp_path / "song.wav", tmp_path, either, SeparationOptions(format=format_))
    assert [path.name for path in done.stems.values()] == [f"{stem}.{format_}" for stem in (*STEMS, "rest")]
    assert done.instrument is None and done.rest == done.stems["rest"]
    total, song = sum(_wide(path) for path in done.stems.values()), _wide(tmp_path / "song.wav")
    if subtype.startswith("PCM"):
        assert done.null_db == float("-inf") and np.array_equal(total, song)
    else:
        assert done.null_db < -130 and np.abs(total - song).max() < 1e-6
    assert len({path.read_bytes() for path in done.stems.values()}) == 4
    assert list(done.activity.stems) == [*STEMS, "rest"]


def test_the_rest_is_the_song_less_what_was_asked_for(rng, tmp_path, band):
    write(tmp_path / "song.wav", music(rng, 20011, peak=0.3), 44100, "PCM_16")

    def separated(*stems):
        options = SeparationOptions(stems=stems)
        return separate_file(tmp_path / "song.wav", tmp_path / "-".join(stems), band, options).stems

    whole, song = separated(*STEMS, "rest"), _wide(tmp_path / "song.wav")
    guitar = separated("rest", "guitar")
    assert list(guitar) == ["guitar", "rest"]
    assert guitar["guitar"].read_bytes() == whole["guitar"].read_bytes()
    assert np.array_equal(_wide(guitar["rest"]), song - _wide(whole["guitar"]))
    assert separated("rest")["rest"].read_bytes() == whole["rest"].read_bytes()
    assert [path.name for path in (tmp_path / "piano").glob("song/*.wav")] == []
    assert list(separated("piano")) == ["piano"]
    with pytest.raises(SettingsError, match="no stem 'drums': this model gives guitar, piano, bass and rest"):
        separated("drums")


@pytest.mark.parametrize("overlap", [0.0, 0.5])
def test_does_not_depend_on_the_block_size(rng, tmp_path, either, overlap):
    write(tmp_path / "song.wav", music(rng, 20011), 32000, "FLOAT")
    options = SeparationOptions(overlap=overlap, gate_db=-20, rest_gate_db=-20, mask=MaskOptions(cleanup=0.5))
    runs = [
        separate_file(tmp_path / "song.wav", tmp_path / "out", either, options, block_size=size)
        and [read(tmp_path / "out/song" / f"{stem}.wav")[0] for stem in (*STEMS, "rest")]
        for size in (333, 4096, 10**6)
    ]
    for stems in zip(*runs, strict=True):
        assert max(np.abs(stem - stems[0]).max() for stem in stems) < 1e-6


def test_swapped_and_inverted_channels_and_mono(rng, band):
    song = music(rng, 40000)
    upright = np.stack(list(splitstrument.separate(song, 22050, band).stems.values()))
    swapped = np.stack(list(splitstrument.separate(song[:, ::-1], 22050, band).stems.values()))
    np.testing.assert_array_equal(swapped[..., ::-1], upright)
    inverted = np.stack(list(splitstrument.separate(song * [1, -1], 22050, band).stems.values()))
    assert np.abs(inverted * [1, -1] - upright).max() < 1e-5
    mono = splitstrument.separate(song[:, 0], 22050, band).stems
    both = splitstrument.separate(np.repeat(song[:, :1], 2, axis=1), 22050, band).stems
    for stem in mono:
        assert np.abs(both[stem] - mono[stem][:, None]).max() < 1e-5


def test_integers_that_would_clip_become_floats_in_every_file(rng, tmp_path, band):
    write(tmp_path / "song.wav", np.sign(music(rng, 30000)) * np.float32(0.999), 44100, "PCM_16")
    done = separate_file(tmp_path / "song.wav", tmp_path / "out", band, SeparationOptions(format="flac"))
    assert done.subtype == "FLOAT" and "would have clipped" in done.warnings[-1]
    assert {path.suffix for path in done.stems.values()} == {".wav"}
    assert np.abs(sum(map(_wide, done.stems.values())) - _wide(tmp_path / "song.wav")).max() < 1e-6
    assert not list(tmp_path.rglob("*.flac"))


def test_lossy_stems(rng, tmp_path, band):
    write(tmp_path / "song.wav", music(rng, 30000), 44100, "PCM_16")
    done = separate_file(tmp_path / "song.wav", tmp_path, band, SeparationOptions(format="ogg"))
    assert done.null_db is None and [path.suffix for path in done.stems.values()] == [".ogg"] * 4


def test_a_sidecar_repeats_all_stems(rng, tmp_path, band):
    write(tmp_path / "song.wav", music(rng, 20000), 44100, "PCM_24")
    options = SeparationOptions(stems=("bass", "guitar", "rest"), keep_mask=True)
    done = separate_file(tmp_path / "song.wav", tmp_path / "out", band, options)
    sidecar = json.loads(done.sidecar.read_text())
    assert list(done.outputs) == ["guitar", "bass", "rest", "mask"]
    assert {name: record["sha256"] for name, record in sidecar["outputs"].items()} == {
        name: sha256_of(path) for name, path in done.outputs.items()
    }
    assert rerun_sidecar(done.sidecar, tmp_path / "again").same == dict.fromkeys(done.outputs, True)


def test_stored_masks_stand_in_for_the_network(rng, tmp_path, either):
    write(tmp_path / "song.wav", music(rng, 30000), 44100, "FLOAT")
    options = SeparationOptions(keep_mask=True, stems=("guitar", "bass", "rest"))
    done = separate_file(tmp_path / "song.wav", tmp_path / "a", either, options)
    again = reprocess_file(tmp_path / "song.wav", done.mask, tmp_path / "b")
    assert list(again.stems) == ["guitar", "bass", "rest"] and again.null_db < -120
    for stem in ("guitar", "bass"):
        samples = _wide(done.stems[stem])
        error = _wide(again.stems[stem]) - samples
        assert 10 * np.log10(np.sum(error**2) / np.sum(samples**2)) < -40
    one = reprocess_file(tmp_path / "song.wav", done.mask, tmp_path / "c", SeparationOptions(stems=("bass",)))
    assert one.stems["bass"].read_bytes() == again.stems["bass"].read_bytes()
    with pytest.raises(SettingsError, match="no mask of piano, only of guitar, bass"):
        reprocess_file(tmp_path / "song.wav", done.mask, tmp_path / "d", SeparationOptions(stems=("piano",)))


def test_a_calibrated_instrument_is_worth_its_curve(rng, tmp_path, band):
    """Also when it is separated by the masks that were stored, to which the curve is not applied again."""
    model = _band(tmp_path / "model", calibration={"piano": (0.0, 0.3, 0.5)})
    write(tmp_path / "song.wav", music(rng, 30000), 44100, "FLOAT")
    plain, half = (
        separate_file(tmp_path / "song.wav", tmp_path / name, found, SeparationOptions(keep_mask=True))
        for name, found in (("a", band), ("b", model))
    )
    assert half.stems["bass"].read_bytes() == plain.stems["bass"].read_bytes()
    before, after = (_wide(done.stems["piano"]) for done in (plain, half))
    assert 0.45 < np.sum(before * after) / np.sum(before**2) < 0.65
    again = reprocess_file(tmp_path / "song.wav", half.mask, tmp_path / "c")
    assert np.abs(_wide(again.stems["piano"]) - after).max() < 0.01 * np.abs(after).max()


def test_strength_and_channels(rng, band):
    song = music(rng, 30000)
    plain, strong = (
        splitstrument.separate(song, 22050, band, options=SeparationOptions(mask=MaskOptions(strength=strength)))
        for strength in (1, 3)
    )
    assert all(np.sum(strong.stems[stem] ** 2) < np.sum(plain.stems[stem] ** 2) for stem in STEMS)
    with pytest.raises(SettingsError, match="hears mid and side"):
        splitstrument.separate(song, 22050, band, options=SeparationOptions(channels="each"))
    with pytest.raises(AttributeError, match=r"take them from \.stems"):
        _ = plain.instrument
    assert repr(plain).startswith("<Separation of 1.36 s: guitar, piano, bass and rest 30000x2 at 22050 Hz")
