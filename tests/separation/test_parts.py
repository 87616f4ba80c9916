"""The parts of the streaming engine by themselves: chunk layout, cross-fade, mask processing, activity, memory."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import band_kernel, band_settings, music, tiny_model, tiny_settings

import splitstrument
from splitstrument.audio import AudioWriter, write
from splitstrument.errors import ModelError, SettingsError
from splitstrument.separation.activity import ActivityMeter, Expectation, Quality, warnings_of
from splitstrument.separation.masks import ChunkLayout, estimate_masks
from splitstrument.separation.options import MaskOptions, SeparationOptions
from splitstrument.separation.outputs import check_pattern, output_path
from splitstrument.separation.pipeline import load_model
from splitstrument.separation.postprocess import MaskProcessor
from splitstrument.separation.samples import SampleType, split
from splitstrument.separation.songs import separate_file
from splitstrument.streams import ArrayQueue, ahead, aligned


@settings(max_examples=60, deadline=None)
@given(
    n_frames=st.integers(1, 200),
    overlap=st.sampled_from([0, 0.25, 0.5, 0.75]),
    cut=st.integers(1, 70),
    seed=st.integers(0, 9),
)
def test_every_frame_gets_its_mask(n_frames, overlap, cut, seed):
    """A network that answers with its own input: the mask of every frame is its normalised magnitude, once."""
    model = tiny_settings(n_fft=16, n_frames=16).model_copy(update={"normalisation": "none"})
    spectrum = np.random.default_rng(seed).random((2, 9, n_frames)).astype(np.complex64)
    blocks = (spectrum[..., start : start + cut] for start in range(0, n_frames, cut))
    pairs = list(estimate_masks(blocks, model, lambda x: x, ChunkLayout(model, overlap)))
    assert np.array_equal(np.concatenate([frames for frames, _ in pairs], axis=-1), spectrum)
    masks = np.concatenate([mask for _, mask in pairs], axis=-1)
    assert np.abs(masks[0, 0] - spectrum.mean(axis=0).real).max() < 1e-6


def test_overlapping_masks_are_faded_without_a_step():
    """Chunks that answer 0 and 1 in turn: the mask moves smoothly between them, by a Hann window."""
    model = tiny_settings(n_fft=16, n_frames=32)
    answers = iter([0.0, 1.0] * 100)
    spectrum = np.ones((1, 9, 400), np.complex64)
    layout = ChunkLayout(model, 0.5)
    layout.batch = 1
    pairs = estimate_masks(iter([spectrum]), model, lambda x: np.full(x.shape, next(answers), np.float32), layout)
    mask = np.concatenate([mask for _, mask in pairs], axis=-1)[0, 0, 0]
    assert np.abs(np.diff(mask)).max() < np.pi / 2 / 16
    assert mask.min() < 0.01 and mask.max() > 0.99
    expected = np.sin(np.pi * (np.arange(16) + 0.5) / 32) ** 2
    assert np.abs(mask[:16] - expected).max() < 1e-6


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_network_that_gives_nonsense_is_refused(bad):
    model = tiny_settings(n_fft=16, n_frames=16)
    spectrum = np.ones((1, 9, 40), np.complex64)
    with pytest.raises(ModelError, match="not numbers"):
        list(estimate_masks(iter([spectrum]), model, lambda x: np.full(x.shape, bad), ChunkLayout(model)))


def _process(options, mask=None, spectrum=None):
    spectrogram = tiny_settings().spectrogram
    rng = np.random.default_rng(5)
    mask = rng.random((1, 257, 200)).astype(np.float32) if mask is None else mask
    spectrum = rng.standard_normal((2, *mask.shape[1:])).astype(np.complex64) if spectrum is None else spectrum
    return mask, MaskProcessor(options, spectrogram)(mask, spectrum)


def test_mask_processing_does_what_its_names_say():
    mask, same = _process(MaskOptions())
    assert np.array_equal(mask, same)
    assert np.allclose(_process(MaskOptions(strength=2))[1], mask**2)
    assert np.allclose(_process(MaskOptions(strength=0))[1], 1)
    assert _process(MaskOptions(floor_db=-20))[1].min() == pytest.approx(0.1)
    assert np.allclose(_process(MaskOptions(dry=0.25))[1], 0.25 + 0.75 * mask)
    for options in (MaskOptions(cleanup=1), MaskOptions(strength=8, cleanup=1, floor_db=-60, dry=0.5)):
        processed = _process(options)[1]
        assert processed.dtype == np.float32 and processed.min() >= 0 and processed.max() <= 1


def test_clean_up_takes_the_steady_and_keeps_the_notes():
    rng = np.random.default_rng(1)
    n_frames = 1500  # 8.7 s
    noise = rng.standard_normal((1, 257, n_frames)) + 1j * rng.standard_normal((1, 257, n_frames))
    notes = np.zeros((1, 257, n_frames))
    notes[:, 40:60] = 30 * np.exp(-(np.arange(n_frames) % 170) / 40)  # a note a second, dying away
    mask = np.ones((1, 257, n_frames), np.float32)
    _, gain = _process(MaskOptions(cleanup=1), mask, (noise + notes).astype(np.complex64))
    late = slice(600, None)
    steady = np.sum(np.abs(gain * noise)[:, 100:, late] ** 2) / np.sum(np.abs(noise)[:, 100:, late] ** 2)
    loud = np.abs(notes[0, 50, late]) > 10
    assert 10 * np.log10(steady) < -4
    assert np.mean(gain[0, 40:60, late][:, loud]) > 0.97


def test_stored_sample_types_add_up(rng):
    song = rng.integers(-(2**31), 2**31, (1000, 2), np.int32)
    for bits in (8, 16, 24):
        held = SampleType(bits, "int32")
        base = (song >> (32 - bits)) << (32 - bits)
        instruments = [(base / 2**31 * share).astype(np.float32) for share in (0.3, 0.5)]
        stems = split(base, instruments, held)
        assert np.array_equal(sum(stem.astype(np.int64) for stem in stems), base)
        assert not any((stem & ((1 << (32 - bits)) - 1)).any() for stem in stems)
    assert split(base, [np.full((1000, 2), 1.0, np.float32)], held) is None
    assert split(np.full((1, 1), 2**31 - 256, np.int32), [np.full((1, 1), -0.5, np.float32)], held) is None


def test_activity_and_warnings(rng):
    rate = 8000
    silence, sound = np.zeros((rate, 2), np.float32), (0.1 * rng.standard_normal((rate, 2))).astype(np.float32)

    def heard(instrument, rest, expected_db=20.0):
        meter = ActivityMeter(rate, ("instrument", "rest"))
        for start in range(0, len(rest), 77):
            meter.add(instrument[start : start + 77], rest[start : start + 77])
        return meter.finish([Quality(0.5, expected_db)])

    activity = heard(np.concatenate([silence, sound]), np.concatenate([sound, sound]))
    instrument, rest = activity.stems.values()
    assert activity.step_s == 0.1 and instrument.dbfs.shape == (20,)
    assert instrument.audible_share == 0.5
    assert np.allclose(instrument.dbfs[:10], -100) and np.allclose(rest.dbfs, -20, atol=0.5)
    assert warnings_of(activity, ["guitar"]) == []
    assert "Hardly any guitar" in warnings_of(heard(silence, sound), ["guitar"])[0]
    assert "Nearly everything was taken for piano" in warnings_of(heard(sound, silence), ["piano"])[0]
    assert "unsure what in this song is guitar" in warnings_of(heard(sound, sound, 0.1), ["guitar"])[0]
    assert warnings_of(heard(silence, silence), ["guitar"]) == ["The song is silent."]
    mostly_silent = np.concatenate([sound / 20, *[silence] * 20])  # -46 dBFS for a second, -59 dBFS in the mean
    assert "Nearly everything" in warnings_of(heard(mostly_silent, 0 * mostly_silent), ["guitar"])[0]


def test_each_instrument_has_warnings_of_its_own(rng):
    silence, sound = np.zeros((8000, 1), np.float32), (0.1 * rng.standard_normal((8000, 1))).astype(np.float32)
    meter = ActivityMeter(8000, ("guitar", "piano", "bass", "rest"))
    meter.add(sound, silence, sound, sound)
    warnings = warnings_of(
        meter.finish([Quality(0.9, 9), Quality(0.9, 9), Quality(0.1, 0.3)]), ("guitar", "piano", "bass")
    )
    assert (
        len(warnings) == 2
        and "Hardly any piano" in warnings[0]
        and "only 0.3 dB closer to a song without bass" in warnings[1]
    )


def test_levels_do_not_depend_on_blocks(rng):
    rate, step, size = 8000, 800, 10_250
    growing = np.linspace(0.1, 1, size, dtype=np.float32)[:, None]
    stems = growing * rng.standard_normal((2, size, 2)).astype(np.float32)
    steps = (stems[:, start : start + step].astype(float) for start in range(0, size, step))
    expected_db = 10 * np.log10(np.transpose([np.mean(step**2, axis=(1, 2)) for step in steps]))
    for cut in (1, 777, 800, 801, 3000, 20_000):
        meter = ActivityMeter(rate, ("instrument", "rest"))
        for start in range(0, size, cut):
            meter.add(*stems[:, start : start + cut])
        levels_db = [stem.dbfs for stem in meter.finish([Quality(1.0, 20.0)]).stems.values()]
        assert np.allclose(levels_db, expected_db, atol=1e-3)


def test_threads_give_the_same_bytes(rng, tmp_path):
    """Chunks that one call of the network takes by itself, of which as many run side by side as there are threads."""
    model = tiny_model(tmp_path / "m", tiny_settings(n_fft=2048, n_frames=128, overlap=0.25)).path
    write(tmp_path / "song.wav", music(rng, 8 * 22050), 22050, "PCM_24")
    for threads in (1, 2, 3):
        options = SeparationOptions(threads=threads, keep_mask=True)
        separate_file(tmp_path / "song.wav", tmp_path / str(threads), model, options)
    for name in ("instrument.wav", "rest.wav", "mask.zip"):
        one, two, three = ((tmp_path / threads / "song" / name).read_bytes() for threads in "123")
        assert one == two == three


def test_one_mask_for_everything_earns_no_confidence(rng, tmp_path):
    halves = tiny_model(tmp_path / "m", kernel=np.zeros((3, 3), np.float32))
    activity = splitstrument.separate(music(rng, 20000), 22050, load_model(halves.path)).activity
    assert activity.confidence < 0.01


def test_expectation_is_what_comes_out_where_masks_are_right(rng):
    """Where a mask is the stem's share of each bin's energy, the SDR that is expected is the one that comes out."""
    share = rng.uniform(0, 1, (1, 200, 300)) ** 3
    parts = [
        np.sqrt(part) * (rng.standard_normal(share.shape) + 1j * rng.standard_normal(share.shape))
        for part in (share, 1 - share)
    ]
    mixture, expectation = sum(parts), Expectation(1)
    for first in (0, 100):
        block = slice(first, first + (100 if first == 0 else 200))
        expectation.add(np.abs(mixture[..., block]) ** 2, share[None][..., block])
    error = np.sum(np.abs(share * mixture - parts[0]) ** 2)
    (quality,) = expectation.qualities
    assert abs(quality.sdr_db - 10 * np.log10(np.sum(np.abs(parts[0]) ** 2) / error)) < 0.1
    constant = np.sum(np.abs(share.mean() * mixture - parts[0]) ** 2)
    assert abs(quality.confidence - (1 - error / constant)) < 0.02


def test_expectation_of_silence_and_of_everything(rng):
    powers = np.square(rng.standard_normal((1, 20, 30)))
    for mask, sdr_db in ((0, 0), (1, 100)):
        expectation = Expectation(1)
        expectation.add(powers, np.full((1, 1, 20, 30), mask, np.float32))
        assert expectation.qualities == [Quality(1.0, sdr_db)]
    assert Expectation(2).qualities == [Quality(1.0, 0.0)] * 2


@pytest.mark.parametrize(
    ("settings", "short_s", "long_s"), [(tiny_settings(), 60, 300), (band_settings(("guitar", "piano")), 20, 80)]
)
def test_memory_does_not_grow_with_the_song(rng, tmp_path, settings, short_s, long_s):
    model = load_model(tiny_model(tmp_path / "model", settings, band_kernel(settings)), threads=1)
    second, options = music(rng, 22050), SeparationOptions(keep_mask=True)
    peaks: dict[int, list[int]] = {short_s: [], long_s: []}
    for seconds, found in peaks.items():
        with AudioWriter(tmp_path / "song.wav", 22050, 2, "PCM_16") as writer:
            for _ in range(seconds):
                writer.write(second)
        for _ in range(2):  # the threads' pace makes a difference of some megabytes from run to run
            tracemalloc.start()
            separate_file(tmp_path / "song.wav", tmp_path / "out", model, options, block_size=8192)
            found.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
    # the queues between the threads fill up; 240 s more of this song would be 21 MB even as 16-bit integers, and 60 s
    # more of it and its stems 32 MB
    assert min(peaks[long_s]) - max(peaks[short_s]) < 14e6
    assert max(peaks[long_s]) < 60e6


def test_queue_gives_back_what_came(rng):
    queue = ArrayQueue()
    numbers = rng.integers(0, 100, 1000)
    for start in range(0, 1000, 37):
        queue.push(numbers[start : start + 37])
    taken = [queue.pop(int(size)) for size in rng.integers(1, 90, 40)]
    assert np.array_equal(np.concatenate([*taken, queue.pop(10**6)]), numbers)
    assert len(queue) == 0


def test_streams_are_cut_at_the_same_places(rng):
    one, other = rng.standard_normal((100, 2)), rng.standard_normal((100, 1))
    pairs = list(aligned(np.split(one, [0, 30, 31]), iter(np.split(other, [30, 70]))))
    assert [(len(a), len(b)) for a, b in pairs] == [(30, 30), (1, 1), (39, 39), (30, 30)]
    for whole, pieces in zip((one, other), zip(*pairs, strict=True), strict=True):
        np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_working_ahead_passes_errors_on_and_ends_its_thread():
    closed = []

    def numbers(end):
        try:
            yield from range(end)
            raise RuntimeError("broken")
        finally:
            closed.append(end)

    assert list(ahead(iter(range(50)))) == list(range(50))
    with pytest.raises(RuntimeError, match="broken"):
        list(ahead(numbers(5)))
    early = ahead(numbers(10**9))
    assert [next(early), next(early)] == [0, 1]
    early.close()
    assert closed == [5, 10**9]


@pytest.mark.parametrize("pattern", ["{track}", "{track}/{stem}", "/{track}{stem}.{ext}", "{track}{stem}.{ext}{", "{}"])
def test_bad_patterns(pattern):
    with pytest.raises(SettingsError, match="--filename"):
        check_pattern(pattern)


def test_names_from_outside_stay_in_the_folder(tmp_path):
    for song in ("..", "../../x", "CON: <x>|?", "." * 50, "é" * 300, "/etc/passwd"):
        path = output_path(tmp_path, "{track}/{model}-{stem}.{ext}", Path(song + ".wav"), song, "rest", "wav")
        assert path.resolve().is_relative_to(tmp_path) and path.parent.parent == tmp_path


def test_unicode_and_spaces_in_names(rng, tmp_path):
    model = load_model(tiny_model(tmp_path / "Модель 1"))
    write(tmp_path / "Für Elise – 音楽 №5.wav", music(rng, 3000), 44100)
    done = separate_file(tmp_path / "Für Elise – 音楽 №5.wav", tmp_path / "out put", model)
    assert done.instrument == tmp_path / "out put" / "Für Elise – 音楽 №5" / "instrument.wav"
    assert done.instrument.is_file()
