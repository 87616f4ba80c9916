"""What a training can look at besides its loss: whole songs, its best epochs, a trace, learning rates."""

from __future__ import annotations

import csv
import json

import h5py
import numpy as np
import pytest
from click.testing import CliRunner
from training_data import tiny_settings

from splitstrument import audio
from splitstrument.cli import cli
from splitstrument.errors import ModelError, TrainingError
from splitstrument.files import write_yaml
from splitstrument.model_folder import read_model_folder
from splitstrument.model_tools.average import average_models
from splitstrument.pairs import find_pairs
from splitstrument.separation.api import separate
from splitstrument.training.backend import choose_backend
from splitstrument.training.rate_finder import smoothed, steepest
from splitstrument.training.run import train
from splitstrument.training.top_weights import best_epochs

choose_backend()


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    """A training that keeps its two best epochs by whole songs, and traces a step."""
    path = tmp_path_factory.mktemp("runs") / "run"
    settings = tiny_settings(
        folder, epochs=4, steps_per_epoch=3, best_by="si_sdr", records={"keep_best": 2, "profile_steps": 1}
    )
    train(settings, path, quiet=True)
    return path


def rows_of(run):
    """The history."""
    return list(csv.DictReader((run / "history.csv").open()))


def test_the_si_sdr_of_songs_is_that_of_a_separation(folder, run):
    """Of the best epoch, whose weights are the model."""
    validated = json.loads((run / "provenance.json").read_text())["tracks"]["validation"]
    names = {name.partition("/")[2] for name in validated}
    (pair,) = [pair for pair in find_pairs(folder) if pair.name in names]
    (reference, rate_hz), (rest, _) = audio.read(pair.instrument), audio.read(pair.rest)
    estimate = separate(reference + rest, rate_hz, model=run, engine="keras").instrument
    wanted, got = reference.astype(np.float64).ravel(), np.asarray(estimate, np.float64).ravel()
    target = wanted * (got @ wanted) / (wanted @ wanted)
    expected = 10 * np.log10((target @ target) / np.sum((got - target) ** 2))
    found = [float(row["val_si_sdr"]) for row in rows_of(run)]
    assert max(found) == pytest.approx(expected, abs=1e-3)
    assert len(set(found)) == 4
    assert json.loads((run / "result.json").read_text())["best_epoch"] == 1 + int(np.argmax(found))


def test_the_best_epochs_are_kept_and_their_mean_is_a_model(run, tmp_path):
    scores = [float(row["val_si_sdr"]) for row in rows_of(run)]
    kept = sorted(path.name for path in (run / "top").iterdir())
    assert kept == sorted(f"epoch_{1 + index:05}.weights.h5" for index in np.argsort(scores)[-2:])
    model = average_models([run], tmp_path / "mean")
    assert read_model_folder(tmp_path / "mean").description.summary.startswith("The mean of 2 weights.")
    name = "layers/conv2d/vars/0"
    arrays = [h5py.File(run / "top" / file)[name][()] for file in kept]
    np.testing.assert_allclose(h5py.File(model.file("best.weights.h5"))[name][()], np.mean(arrays, axis=0), rtol=1e-6)
    assert separate(np.zeros((8000, 1), np.float32) + 0.1, 8000, model=model.path, engine="keras").instrument.any()
    with pytest.raises(ModelError, match="holds a model already"):
        average_models([run], tmp_path / "mean")
    with pytest.raises(ModelError, match="nothing to average"):
        average_models([run / "best.weights.h5"], tmp_path / "one")


def test_the_trace_of_a_step_is_there(run):
    (trace,) = (run / "profile").rglob("*.xplane.pb")
    assert trace.stat().st_size > 1000


def test_best_epochs_are_by_validation_or_the_last_ones():
    rows = [{"epoch": epoch, "val_loss": loss} for epoch, loss in enumerate([3.0, 1.0, 2.0, 1.0], 1)]
    assert best_epochs(rows, 3) == [2, 4, 3]
    assert best_epochs([{"epoch": epoch, "val_loss": None} for epoch in (1, 2, 3)], 2) == [3, 2]


def test_the_epochs_that_are_kept_are_those_with_the_best_songs():
    rows = [{"epoch": n, "val_loss": float(n), "val_si_sdr": si_sdr} for n, si_sdr in enumerate([-3.0, 2.0, 5.0], 1)]
    assert best_epochs(rows, 2) == [3, 2]


def test_the_rate_finder_names_the_steepest_fall():
    rates = list(np.geomspace(1e-6, 1, 100))
    losses = [10.0] * 50 + list(np.linspace(10, 2, 20)) + [2.0] * 30
    assert rates[50] < steepest(rates, losses) <= rates[70]
    assert smoothed([4.0, 4.0, 4.0]) == pytest.approx([4.0] * 3)
    with pytest.raises(TrainingError, match="fell at no rate"):
        steepest(rates, [1.0] * 100)


def test_find_rate_from_the_command_line(folder, tmp_path):
    settings = tiny_settings(folder, data={"source": "segments"}, steps_per_epoch=4)
    write_yaml(tmp_path / "recipe.yaml", settings.model_dump(mode="json", exclude_none=True))
    done = CliRunner().invoke(cli, ["train", str(tmp_path / "recipe.yaml"), "--find-rate"])
    assert done.exit_code == 0, done.output
    assert "--set optimizer.learning_rate=" in done.stdout
    assert not (tmp_path / "runs").exists()
