"""The doctor: each way to learn nothing is planted and found, and a sound training is let through."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from training_data import make_pairs, tiny_settings

from splitstrument import audio
from splitstrument.errors import TrainingError
from splitstrument.training import doctor, loop
from splitstrument.training.backend import choose_backend
from splitstrument.training.build import build_trainer
from splitstrument.training.check import check_training, step_findings
from splitstrument.training.data.open import open_streams
from splitstrument.training.data.tracks import load_tracks
from splitstrument.training.doctor import batch_findings, curve_findings, data_findings, hint, mask_findings, verdict
from splitstrument.training.run import train

choose_backend()


@pytest.fixture
def folder(tmp_path, rng):
    """Four sound tracks."""
    return make_pairs(tmp_path / "d", ["a", "b", "c", "d"], rng)


def findings_of(settings):
    """All findings about a training's data, as one text."""
    tracks = load_tracks(settings)
    return " ".join(data_findings(tracks, open_streams(settings, tracks)))


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
    streams = open_streams(settings, tracks)
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


def test_mostly_empty_batches_are_found(rng):
    sound = {"mixture": rng.random((2, 65, 16, 1), np.float32), "target": rng.random((2, 65, 16, 1), np.float32)}
    empty = {name: np.zeros_like(values) for name, values in sound.items()}
    assert batch_findings([sound, empty], "training") == []
    found = batch_findings([empty, sound, empty], "training")
    assert "2 of 3 training batches that were probed are digital silence" in found[0]


BASELINES = {"mask 1": 400.0, "mask 0": 100.0}


def rows_with(*val_losses, steps=100, loss=50.0):
    """Finished epochs."""
    return [{"steps": steps, "loss": loss, "val_loss": val_loss} for val_loss in val_losses]


def test_a_curve_that_sits_at_a_trivial_mask_is_found():
    assert "at the value of silence (100)" in curve_findings(rows_with(90, 101, 99, 100, 100.5, 102), BASELINES)[0]
    assert "at the value of the mixture (400)" in curve_findings(rows_with(*[401] * 5), BASELINES)[0]
    assert curve_findings(rows_with(101, 99, 100, 100, 90), BASELINES) == []  # it got away
    assert curve_findings(rows_with(101, 99, 100, 100), BASELINES) == []  # too early
    assert curve_findings(rows_with(*[100] * 5, steps=1), BASELINES) == []  # hardly trained yet
    assert curve_findings(rows_with(*[None] * 5), {}) == []
    assert "exactly 0 over a whole epoch" in curve_findings(rows_with(90, loss=0.0), BASELINES)[0]


def test_a_training_stuck_at_a_trivial_mask_is_stopped(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "PATIENT_STEPS", 1)
    monkeypatch.setattr(loop.Loop, "_validate", lambda self: self.baselines["mask 1"])
    with pytest.raises(
        TrainingError, match=r"was stopped: The validation loss has sat .*\(To train on, set doctor: warn"
    ):
        train(tiny_settings(folder, epochs=9), tmp_path / "run", quiet=True)
    assert len((tmp_path / "run" / "history.csv").read_text().splitlines()) == 1 + doctor.STUCK_EPOCHS
    assert "doctor: The validation loss has sat" in (tmp_path / "run" / "log.txt").read_text()


def test_a_check_finds_what_a_training_would(folder, tmp_path):
    sound = check_training(tiny_settings(folder), seconds=0)
    assert sound.findings == []
    assert sound.steps > 0
    assert set(sound.baselines) == {"mask 0", "mask 1"}
    silence(load_tracks(tiny_settings(folder)).validation, "instrument")
    found = check_training(tiny_settings(folder, optimizer={"name": "sgd", "learning_rate": 1e30}), seconds=0).findings
    assert "The instrument is silent in every validation example" in found[0]
    assert found[1].startswith("The loss became ")


def test_a_check_looks_at_loss_and_masks(folder):
    settings = tiny_settings(folder)
    streams = open_streams(settings, load_tracks(settings))
    trainer = build_trainer(settings)
    for variable in trainer.network.trainable_variables:
        variable.assign(np.zeros(variable.shape, np.float32))
    assert "The mask is 0 everywhere" in step_findings(trainer, streams.training, [1.0] * 200)[0]
    assert step_findings(trainer, streams.training, [1.0] * 199) == []
    assert "exactly 0 at every step" in step_findings(trainer, streams.training, [0.0] * 5)[0]


TRIVIAL = {"mask 1": 10.0, "mask 0": 14.0}


@pytest.mark.parametrize(
    ("best", "expected"),
    [
        (9.0, "better than the mixture"),
        (10.0, "worse than the mixture"),
        (15.0, "worse than the mixture"),
        (None, None),
    ],
)
def test_the_verdict_is_by_the_mask_of_one(best, expected):
    assert verdict(best, TRIVIAL) == expected
    assert verdict(12.0, {"mask 1": 14.0, "mask 0": 10.0}) == "worse than silence"
    assert verdict(9.0, {}) is None


def test_the_hint_tells_late_statistics_from_too_few_songs_and_from_nothing_learned():
    rows = [{"steps": 40, "loss": 8.0}]
    assert "statistics_batches" in hint(rows, TRIVIAL, 0)
    assert "more songs" in hint(rows, TRIVIAL, 30)
    assert "more songs" in hint([{"steps": 4000, "loss": 8.0}], TRIVIAL, 0)
    assert "learning rate" in hint([{"steps": 40, "loss": 11.0}], TRIVIAL, 0)


def test_a_training_that_ends_worse_than_the_mixture_says_so(folder, tmp_path):
    from click.testing import CliRunner

    from splitstrument.cli import cli
    from splitstrument.files import write_yaml

    settings = tiny_settings(folder, epochs=1, steps_per_epoch=1, optimizer={"learning_rate": 1e-9})
    write_yaml(tmp_path / "recipe.yaml", settings.model_dump(mode="json", exclude_none=True))
    command = ["train", str(tmp_path / "recipe.yaml"), "-o", str(tmp_path / "run"), "--no-export", "--quiet"]
    done = CliRunner().invoke(cli, command)
    assert done.exit_code == 0, done.output
    assert "tiny is worse than" in done.stdout.splitlines()[-1]
    assert "worse than" in json.loads((tmp_path / "run" / "result.json").read_text())["verdict"]
    assert "doctor: worse than" in (tmp_path / "run" / "log.txt").read_text()


def test_check_compares_each_side_with_its_own_masks(folder):
    found = check_training(tiny_settings(folder), seconds=1)
    assert set(found.training_baselines) == set(found.baselines) == {"mask 1", "mask 0"}
    assert found.training_baselines != found.baselines
    assert np.isfinite(found.validation_loss)
