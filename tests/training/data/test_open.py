"""Chunks, segments, cache and loaders: what the network is fed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from training_data import RATE_HZ, make_pairs, tiny_settings

from splitstrument import audio
from splitstrument.errors import DatasetError, SplitstrumentError
from splitstrument.spectrogram import stft
from splitstrument.training.data import open as opening
from splitstrument.training.data.cache import CachedReader
from splitstrument.training.data.chunks import SeekingReader, items_limit
from splitstrument.training.data.loader import tf_data_batches, threaded_batches
from splitstrument.training.data.open import open_streams
from splitstrument.training.data.reading import make_reader
from splitstrument.training.data.tracks import load_tracks


@pytest.fixture
def folder(tmp_path, rng):
    """Four tracks."""
    return make_pairs(tmp_path / "d", ["a", "b", "c", "d"], rng)


def streams_of(settings, phase=False):
    """Both streams of a training."""
    return opening.streams_of(settings, load_tracks(settings), phase)


def whole_song_chunks(track, settings):
    """Slow reference, after the thesis: one STFT of the whole song, padded and cut, each chunk normalised."""
    parts = [audio.read(path)[0] for path in (track.pair.instrument, track.pair.rest)]
    instrument, rest = (stft(part, settings.model.spectrogram.n_fft)[0] for part in parts)
    size = settings.model.n_frames
    padding = ((0, 0), (size // 2, 2 * size))
    mixture, target = (np.pad(np.abs(spectrum), padding) for spectrum in (instrument + rest, instrument))
    count = int(np.ceil((instrument.shape[1] + size / 2) / size))
    for index in range(count):
        piece = slice(index * size, (index + 1) * size)
        scale = mixture[:, piece].max() or 1
        yield mixture[:, piece] / scale, target[:, piece] / scale


def test_an_epoch_holds_every_chunk_of_the_thesis_once(folder):
    settings = tiny_settings(folder, batch_size=1)
    stream = streams_of(settings).training
    expected = [chunk for track in load_tracks(settings).training for chunk in whole_song_chunks(track, settings)]
    batches = [stream.batch(index) for index in range(stream.steps_per_epoch)]
    assert len(batches) == len(expected)
    left = list(range(len(expected)))
    for batch in batches:
        errors = [np.abs(batch["mixture"][0, :, :, 0] - expected[index][0]).max() for index in left]
        index = left.pop(int(np.argmin(errors)))
        np.testing.assert_allclose(batch["mixture"][0, :, :, 0], expected[index][0], atol=2e-6)
        np.testing.assert_allclose(batch["target"][0, :, :, 0], expected[index][1], atol=2e-6)


@pytest.mark.parametrize("n_samples", [1, 2, 50, 100, 129, 1000, 5003])
@pytest.mark.parametrize("phase", [False, True])
def test_seeking_equals_cutting_the_whole_song(tmp_path, rng, n_samples, phase):
    folder = make_pairs(tmp_path / "d", ["a"], rng, seconds=(n_samples + 0.5) / RATE_HZ)
    settings = tiny_settings(folder, validation_ratio=0)
    track = load_tracks(settings).training[0]
    reader = make_reader("soundfile")
    seeking = SeekingReader(settings.model, reader, phase)
    cached = CachedReader(settings.model, reader, phase, tmp_path / "cache")
    for start in range(-16, seeking.n_frames(track) + 16, 5):
        np.testing.assert_allclose(cached.chunk(track, start), seeking.chunk(track, start), atol=1e-5)


def test_order_listed_keeps_tracks_together_and_shuffled_does_not(folder):
    def runs(order):
        settings = tiny_settings(folder, data={"order": order}, validation_ratio=0)
        tracks = streams_of(settings).training.source.plan(0)[:, 0]
        return 1 + np.count_nonzero(np.diff(tracks))

    assert runs("listed") == 4
    assert runs("shuffled") > 8


def test_epochs_differ_seeds_differ_and_the_same_seed_does_not(folder):
    plans = {}
    for seed in (0, 0, 1):
        source = streams_of(tiny_settings(folder, seed=seed)).training.source
        for epoch in (0, 1):
            plan = source.plan(epoch).tolist()
            assert plans.setdefault((seed, epoch), plan) == plan
    assert plans[0, 0] != plans[0, 1]
    assert plans[0, 0] != plans[1, 0]
    assert sorted(plans[0, 0]) == sorted(plans[1, 1])


def test_chunks_per_track_is_a_fresh_subset_scaled_by_n_fft(folder):
    model = {"spectrogram": {"n_fft": 512}, "n_frames": 64}
    assert items_limit(tiny_settings(folder, model=model, data={"chunks_per_track": 50})) == 150
    settings = tiny_settings(folder, data={"chunks_per_track": 1}, validation_ratio=0)  # 1 * 1536 / 128 = 12 a track
    source = streams_of(settings).training.source
    assert all(np.bincount(source.plan(0)[:, 0]) == np.minimum(source.counts, 12))


def test_the_cache_follows_the_content(folder, tmp_path):
    settings = tiny_settings(folder, data={"cache": str(tmp_path / "cache")}, validation_ratio=0)
    track = load_tracks(settings).training[0]
    first = streams_of(settings).training.source.chunks
    before = first.chunk(track, 0)
    entry = first.entry_path(track)
    written = entry.stat().st_mtime_ns
    assert streams_of(settings).training.source.chunks.entry_path(track) == entry
    assert entry.stat().st_mtime_ns == written
    samples, rate_hz = audio.read(track.pair.instrument)
    audio.write(track.pair.instrument, samples * np.float32(0.5), rate_hz, "FLOAT")
    again = streams_of(settings).training.source.chunks
    assert again.entry_path(track) != entry
    np.testing.assert_allclose(again.chunk(track, 0)[1], before[1] / 2, rtol=1e-5, atol=1e-6)


def test_another_rate_needs_the_cache_which_resamples(tmp_path, rng):
    folder = make_pairs(tmp_path / "d", ["a"], rng, rate_hz=11025)
    settings = tiny_settings(folder, validation_ratio=0)
    with pytest.raises(DatasetError, match=r"has 11025 Hz, but the model hears 8000 Hz: .* set data.cache"):
        streams_of(settings)
    cached = settings.model_copy(update={"data": settings.data.model_copy(update={"cache": str(tmp_path / "cache")})})
    track = load_tracks(cached).training[0]
    planes = streams_of(cached).training.source.chunks.chunk(track, 16)
    expected = [audio.read(path, RATE_HZ)[0] for path in (track.pair.instrument, track.pair.rest)]
    reference = np.abs(stft(expected[0], 128)[0])[:, 16:32]
    np.testing.assert_allclose(planes[1], reference, atol=1e-5)


def test_segments_are_what_the_files_hold(folder):
    settings = tiny_settings(folder, data={"source": "segments"}, steps_per_epoch=3)
    source = streams_of(settings).training.source
    instrument, rest = source.segments(0, 1)
    assert instrument.shape == rest.shape == (2, 15 * 32 + 128)
    songs = [audio.read(track.pair.instrument)[0][:, 0] for track in source.tracks]
    for segment in instrument:
        windows = [np.lib.stride_tricks.sliding_window_view(song, len(segment)) for song in songs]
        assert any((np.abs(window - segment).max(axis=1) == 0).any() for window in windows)


def test_segments_draw_datasets_by_ratio(tmp_path, rng):
    one = make_pairs(tmp_path / "one", ["a"], rng, seconds=4)
    two = make_pairs(tmp_path / "two", ["b", "c", "d"], rng)
    sources = [{"path": str(one), "ratio": 3}, {"path": str(two), "ratio": 1}]
    source = streams_of(tiny_settings(*sources, data={"source": "segments"}, validation_ratio=0)).training.source
    assert source.probabilities[0] == pytest.approx(0.75)
    assert source.probabilities.sum() == pytest.approx(1)


@pytest.mark.parametrize("source", ["chunks", "segments"])
@pytest.mark.parametrize("phase", [False, True])
def test_both_loaders_give_the_same_batches_from_any_start(folder, source, phase):
    settings = tiny_settings(folder, data={"source": source, "workers": 3}, steps_per_epoch=6)
    stream = streams_of(settings, phase).training
    expected = [stream.batch(index) for index in range(3, 11)]
    for load in (tf_data_batches, threaded_batches):
        for ours, reference in zip(load(stream.batch, 3, 11, settings.data), expected, strict=True):
            assert ours.keys() == reference.keys()
            for name in ours:
                np.testing.assert_array_equal(np.asarray(ours[name]), reference[name])


def test_the_phase_batch_agrees_with_the_magnitudes(folder):
    settings = tiny_settings(folder)
    magnitudes, complexes = (streams_of(settings, phase).training.batch(0) for phase in (False, True))
    for name in ("mixture", "target"):
        np.testing.assert_allclose(complexes[name], magnitudes[name], atol=1e-6)
    np.testing.assert_allclose(
        np.hypot(*np.moveaxis(complexes["mixture_stft"], -1, 0)), magnitudes["mixture"][..., 0], atol=1e-6
    )


def test_two_outputs_add_the_rest(folder):
    settings = tiny_settings(folder)
    network = settings.model.network.model_copy(update={"outputs": 2})
    settings = settings.model_copy(update={"model": settings.model.model_copy(update={"network": network})})
    batch = streams_of(settings).training.batch(0)
    assert batch["target"].shape == (2, 65, 16, 2)
    assert np.all(batch["mixture"][..., 0] <= batch["target"].sum(axis=-1) + 1e-6)  # triangle inequality


@pytest.mark.parametrize("load", [tf_data_batches, threaded_batches])
def test_a_broken_file_is_named(folder, load):
    settings = tiny_settings(folder)
    tracks = load_tracks(settings)
    tracks.training[0].pair.instrument.write_bytes(b"no audio")
    stream = open_streams(settings, tracks).training
    with pytest.raises(SplitstrumentError, match=f"instrument_{tracks.training[0].pair.name}.wav cannot be read"):
        list(load(stream.batch, 0, stream.steps_per_epoch, settings.data))


def test_validation_is_capped_evenly(folder):
    settings = tiny_settings(folder, validation_ratio=0.5, data={"validation_chunks": 4})
    stream = streams_of(settings).validation
    assert stream.steps_per_epoch == 2
    assert set(stream.source.plan(0)[:, 0]) == {0, 1}


def test_a_track_longer_than_its_header_says_is_padded(folder):
    settings = tiny_settings(folder, validation_ratio=0)
    track = load_tracks(settings).training[0]
    longer = replace(track, info=replace(track.info, n_samples=track.info.n_samples + 500))
    planes = SeekingReader(settings.model, make_reader("soundfile"), False).chunk(longer, 32)
    assert np.isfinite(planes).all()
