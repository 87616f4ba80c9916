"""Segments made where the network trains: the same as those that the processor makes, and as many as it likes."""

import json
from pathlib import Path

import numpy as np
import pytest
import soxr

pytest.importorskip("keras")

from backends import INSTALLED, run
from joint_data import BAND, joint_settings
from keras import ops
from training_data import RATE_HZ, make_pairs, tiny_settings

from splitstrument.errors import SettingsError
from splitstrument.spectrogram import frames_stft
from splitstrument.training import augment
from splitstrument.training.data.device import DeviceSource, _overdriven
from splitstrument.training.data.examples import batch_of, joint_planes_of, planes_of
from splitstrument.training.data.open import streams_of
from splitstrument.training.data.reading import make_reader
from splitstrument.training.data.segments import sides_of
from splitstrument.training.data.tracks import load_tracks
from splitstrument.training.launch import loopback_members, train_together
from splitstrument.training.run import train

ALL_STEPS = {
    "remix": 0.5, "double": 0.5, "speed": 0.1, "drive": 0.5, "drive_rest": 0.2, "equalizer_db": 6, "low_pass": 0.5,
    "gain_db": 6, "polarity": 0.5, "absent": 0.2, "solo": 0.2,
}  # fmt: skip
SCRIPT = Path(__file__).parents[2] / "support" / "backend_segments.py"
DEVICE = {"place": "device", "workers": 1}


def source_of(settings):
    return DeviceSource(load_tracks(settings).training, settings, make_reader("soundfile"), phase=True)


def segments_settings(tmp_path, rng, seconds=1.5, names=("a", "b"), **changes):
    """Of one instrument, on a track or two."""
    pairs = make_pairs(tmp_path / "pairs", list(names), rng, seconds)
    data = {"source": "segments", **DEVICE}
    loss = {"name": "relative_error"}
    dataset = {"path": str(pairs), "role": "training"}
    return tiny_settings(dataset, **{"data": data, "loss": loss, "steps_per_epoch": 3, **changes})


def as_numpy(batch):
    return {name: ops.convert_to_numpy(value) for name, value in batch.items()}


def read_sides(source, settings, draw, row):
    """The stretch of each side that a draw without changes means, read from the files."""
    tracks, place = load_tracks(settings).training, int(draw["base"][0, row, 0])
    index = int(np.searchsorted(source.starts, place, side="right")) - 1
    start = place - int(source.starts[index])
    return sides_of(tracks[index], make_reader("soundfile"), start, source.n_samples, RATE_HZ)


@pytest.mark.parametrize("normalisation", ["none", "chunk_maximum"])
def test_without_augmentation_a_batch_is_that_of_the_files(tmp_path, rng, normalisation):
    model = {**segments_settings(tmp_path, rng).model.model_dump(), "normalisation": normalisation}
    settings = segments_settings(tmp_path, rng, model=model)
    source = source_of(settings)
    draw, batch = source.draw(0, 1), as_numpy(source.batch(0, 1))
    sides = np.stack([np.stack(read_sides(source, settings, draw, row)) for row in range(2)], axis=1)
    instrument, rest = (frames_stft(side.T, 128, 32) for side in sides)
    expected = batch_of(planes_of(instrument, rest, 1, True), settings.model, True)
    assert batch.keys() == expected.keys()
    for name, values in expected.items():
        assert batch[name] == pytest.approx(values, abs=2e-3 * float(np.abs(values).max())), name  # 16 bits


def test_joint_batches_are_those_of_the_files(songs):
    settings = joint_settings(songs, data={"source": "joint", **DEVICE})
    source = source_of(settings)
    draw, batch = source.draw(0, 0), as_numpy(source.batch(0, 0))
    sides = np.stack([np.stack(read_sides(source, settings, draw, row)) for row in range(2)], axis=1)
    stfts = [frames_stft(side.T, 128, 32) for side in sides]
    expected = batch_of(joint_planes_of(*stfts, True), settings.model, True)
    assert batch.keys() == expected.keys()
    for name, values in expected.items():
        assert batch[name] == pytest.approx(values, abs=2e-3 * float(np.abs(values).max())), name


def test_batches_depend_on_seed_epoch_and_step_alone(songs):
    settings = joint_settings(songs, data={"source": "joint", **DEVICE}, augmentation=ALL_STEPS)
    once, again = (as_numpy(source_of(settings).batch(1, 2)) for _ in range(2))
    other = as_numpy(source_of(settings).batch(1, 1))
    assert all(np.array_equal(once[name], again[name]) for name in once)
    assert not np.allclose(once["mixture"], other["mixture"])


def test_the_mixture_is_the_sum_whatever_is_done(songs):
    """Where one instrument plays alone the mixture is it, and where both are silent the target is 0."""
    settings = joint_settings(
        songs, data={"source": "joint", **DEVICE}, augmentation={**ALL_STEPS, "solo": 1.0}, batch_size=8
    )
    batch = as_numpy(source_of(settings).batch(0, 0))
    both = batch["target_stft"] + batch["second_stft"]
    assert both == pytest.approx(batch["mixture_stft"], abs=1e-4)
    assert all(np.isfinite(values).all() for values in batch.values())


def test_speed_is_that_of_a_resampler(tmp_path, rng):
    settings = segments_settings(tmp_path, rng, seconds=4.0, augmentation={"speed": 0.1})
    source = source_of(settings)
    draw = source.draw(0, 0)
    played = ops.convert_to_numpy(source._played(source.audio[0], draw, 0))
    kept = np.asarray(source.audio[0], np.float32) / 32768
    for row, factor in enumerate(draw["speed"][0]):
        place = int(draw["base"][0, row, 0])
        expected = soxr.resample(kept[place : place + source.n_needed], float(factor), 1.0, quality="VHQ")
        inside = slice(100, source.n_samples - 100)
        assert played[row, inside] == pytest.approx(expected[inside], abs=2e-3)


def test_the_equalizer_draws_the_curve_of_the_processor(tmp_path, rng):
    settings = segments_settings(tmp_path, rng)
    source = source_of(settings)
    nodes = rng.uniform(-6, 6, len(augment.EQ_NODES_HZ)).astype(np.float32)
    grid = np.log(np.maximum(np.fft.rfftfreq(128, 1 / RATE_HZ), 1.0))
    assert nodes @ source._curves == pytest.approx(np.interp(grid, np.log(augment.EQ_NODES_HZ), nodes), abs=1e-4)


def test_overdrive_is_that_of_the_processor(rng):
    wave = rng.standard_normal((2, 4000)).astype(np.float32) * 0.1
    drive, bias = np.array([20.0, 0.0], np.float32), np.array([0.2, 0.1], np.float32)
    peak = np.abs(wave[0]).max()
    out = ops.convert_to_numpy(_overdriven(wave, ops.convert_to_tensor(drive), ops.convert_to_tensor(bias)))
    assert out[0] == pytest.approx(augment._clip_softly(wave[0], drive[0] / peak, bias[0]), abs=1e-5)
    assert np.array_equal(out[1], wave[1])


def test_tracks_shorter_than_a_segment_are_followed_by_silence(tmp_path, rng):
    settings = segments_settings(tmp_path, rng, seconds=0.02, names=["a"])
    source = source_of(settings)
    batch = as_numpy(source.batch(0, 0))
    assert np.abs(batch["mixture"][:, :, -4:]).max() < 1e-6 < batch["mixture"].max()


def test_remix_takes_the_rest_from_anywhere(tmp_path, rng):
    settings = segments_settings(tmp_path, rng, augmentation={"remix": 1.0}, batch_size=16)
    base = source_of(settings).draw(0, 0)["base"]
    assert (base[0] != base[1]).any(axis=1).mean() > 0.9


def test_a_training_on_the_device_learns(songs, tmp_path):
    settings = joint_settings(songs, data={"source": "joint", **DEVICE}, augmentation=ALL_STEPS, epochs=12)
    result = train(settings, tmp_path / "run", quiet=True)
    losses = [float(row.split(",")[2]) for row in (tmp_path / "run" / "history.csv").read_text().splitlines()[1:]]
    assert result.steps == 36
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


def test_describing_a_training_reads_no_audio(tmp_path, rng):
    source = source_of(segments_settings(tmp_path, rng))
    assert source.steps_per_epoch == 3 and source.draw(0, 0)["base"].shape[0] == 2
    assert "audio" not in vars(source)


def test_solo_and_absent_are_those_of_the_settings(tmp_path, rng):
    settings = segments_settings(tmp_path, rng, augmentation={"solo": 1}, batch_size=16)
    quiet = as_numpy(source_of(settings).batch(0, 0))
    assert quiet["target_stft"] == pytest.approx(quiet["mixture_stft"], abs=1e-5)
    whole = settings.model_copy(update={"augmentation": augment.AugmentationSettings(absent=1)})
    batch = as_numpy(source_of(whole).batch(0, 0))
    assert batch["target"].max() == 0 < batch["mixture"].max()


def test_every_backend_makes_the_same_batches(tmp_path, rng):
    """One segment at a time too: a compiler once turned the low-pass of a single one into infinity times 0."""
    pairs = make_pairs(tmp_path / "pairs", ["a", "b"], rng)
    levels = [json.loads(run(name, SCRIPT, pairs).splitlines()[-1]) for name in INSTALLED]
    assert all(np.isfinite(list(each.values())).all() for each in levels)
    for each in levels[1:]:
        assert all(each[name] == pytest.approx(values, rel=1e-3) for name, values in levels[0].items())


def test_mistakes_are_named(tmp_path, rng):
    odd = {**BAND, "spectrogram": {"sample_rate_hz": RATE_HZ, "n_fft": 128, "hop_length": 48}}
    odd["network"] = {**BAND["network"], "outputs": 1}
    with pytest.raises(SettingsError, match="hop_length that divides n_fft"):
        source_of(segments_settings(tmp_path, rng, model=odd))
    with pytest.raises(SettingsError, match="for one process"):
        train_together(segments_settings(tmp_path, rng), tmp_path / "together", loopback_members(2), quiet=True)


@pytest.mark.parametrize("order", ["listed", "shuffled"])
@pytest.mark.parametrize("phase", [False, True])
def test_chunks_on_the_device_are_those_of_the_files(tmp_path, rng, order, phase):
    """Edges are reflected and frames behind the end silent, in every chunk of an epoch; only 16 bits lie between."""
    pairs = make_pairs(tmp_path / "pairs", ["a", "b", "c"], rng, seconds=0.8)
    batches = {}
    for place in ("files", "device"):
        data = {"order": order, "place": place, "chunk_step": 11}
        settings = tiny_settings({"path": str(pairs), "role": "training"}, data=data)
        stream = streams_of(settings, load_tracks(settings), phase).training
        batches[place] = [stream.batch(index) for index in range(2 * stream.steps_per_epoch)]
    assert len(batches["device"]) == len(batches["files"]) > 10
    for ours, theirs in zip(batches["device"], batches["files"], strict=True):
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            np.testing.assert_allclose(ours[name], value, atol=2e-3 * max(1, np.abs(value).max()), err_msg=name)


def test_a_training_on_chunks_of_the_device_runs_and_resumes(tmp_path, rng):
    pairs = make_pairs(tmp_path / "pairs", ["a", "b", "c"], rng)
    settings = tiny_settings(pairs, data={"place": "device"}, epochs=1)
    train(settings, tmp_path / "run", quiet=True)
    result = train(settings.model_copy(update={"epochs": 2}), tmp_path / "run", resume=True, quiet=True)
    assert result.epochs == 2 and np.isfinite(result.loss)
