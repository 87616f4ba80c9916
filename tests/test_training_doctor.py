"""The doctor: each way to learn nothing is planted and found, and a sound training is let through."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from training_data import make_pairs, tiny_settings

from splitstrument import audio
from splitstrument.training.doctor import data_findings, mask_findings
from splitstrument.training.pipeline import open_streams
from splitstrument.training.tracks import load_tracks


@pytest.fixture
def folder(tmp_path, rng):
    """Four sound tracks."""
    return make_pairs(tmp_path / "d", ["a", "b", "c", "d"], rng)


def findings_of(settings):
    """All findings about a training's data, as one text."""
    tracks = load_tracks(settings)
    return " ".join(data_findings(tracks, open_streams(settings, tracks, False)))


def silence(tracks, stem):
    """Overwrite one stem of some tracks with zeros."""
    for track in tracks:
        path = getattr(track.pair, stem)
        samples, rate_hz = audio.read(path)
        audio.write(path, np.zeros_like(samples), rate_hz, "FLOAT")


def test_sound_data_have_no_findings(folder):
    assert findings_of(tiny_settings(folder)) == ""


def test_the_same_audio_on_both_sides_is_found(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    settings = tiny_settings({"path": str(folder), "role": "training"}, {"path": str(other), "role": "validation"})
    assert "4 validation tracks hold the same audio as training tracks (" in findings_of(settings)


def test_a_validation_set_of_silence_is_found(folder):
    settings = tiny_settings(folder)
    validation = load_tracks(settings).validation
    silence(validation, "instrument")
    assert "The instrument is silent in every validation example" in findings_of(settings)
    silence(validation, "rest")
    assert "Every validation example is digital silence" in findings_of(settings)


def test_a_missing_rest_is_found(folder):
    settings = tiny_settings(folder)
    silence(load_tracks(settings).training, "rest")
    assert "Instrument and mixture are the same in every training example" in findings_of(settings)


def test_repeating_batches_are_found(tmp_path, rng):
    folder = make_pairs(tmp_path / "d", ["a", "b", "c", "d"], rng)
    settings = tiny_settings(folder, validation_ratio=0, data={"source": "segments"}, steps_per_epoch=5)
    tracks = load_tracks(settings)
    streams = open_streams(settings, tracks, False)
    streams.training.source.planes = lambda epoch, step, rows: np.ones((2, 2, 65, 16), np.float32) * [[[[2]], [[1]]]]
    assert any("All training batches are the same" in finding for finding in data_findings(tracks, streams))


def test_masks(rng):
    mixture = rng.random((2, 65, 16, 1), np.float32)
    target = mixture * rng.random((2, 65, 16, 1), np.float32)
    batch = {"mixture": mixture, "target": target}
    ideal = target / mixture
    assert mask_findings(ideal, batch) == []
    assert "The mask is 0.5 everywhere" in mask_findings(np.full_like(ideal, 0.5), batch)[0]
    nearly_one = 1 + 0.003 * rng.standard_normal(ideal.shape)
    assert "The output is the input" in mask_findings(nearly_one, batch)[0]
    assert "The output is silence although" in mask_findings(0.003 * rng.standard_normal(ideal.shape), batch)[0]
    assert mask_findings(nearly_one, {"mixture": mixture, "target": mixture}) == []
