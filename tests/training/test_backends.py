"""The same training step on every Keras backend that is installed."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from backends import INSTALLED, run
from training_data import TINY_MODEL

from splitstrument.model_folder import read_model_folder
from splitstrument.network.settings import ModelSettings
from splitstrument.settings import load_settings

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "tests" / "support" / "backend_losses.py"


needs_second = pytest.mark.skipif(
    len(INSTALLED) < 2 or INSTALLED[0] != "tensorflow", reason="needs TensorFlow and a second Keras backend"
)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Of each backend: the losses of a few steps, and the folder with what it left behind."""
    found = {}
    for name in INSTALLED:
        folder = tmp_path_factory.mktemp(name)
        found[name] = json.loads(run(name, SCRIPT, folder).splitlines()[-1]), folder
    return found


@needs_second
def test_every_backend_gives_the_same_losses(trained):
    reference, _ = trained["tensorflow"]
    for name, (losses, _) in trained.items():
        assert losses == pytest.approx(reference, rel=1e-5), name


@needs_second
def test_weights_of_every_backend_give_the_same_masks_in_tensorflow(trained):
    from splitstrument.network.registry import build_network

    network = build_network(ModelSettings.model_validate(TINY_MODEL))
    for name, (_, folder) in trained.items():
        network.load_weights(folder / "trained.weights.h5")
        theirs = np.load(folder / "masks.npz")
        ours = network.predict_on_batch(theirs["mixture"])
        assert np.ptp(ours) > 0.01  # no constant
        np.testing.assert_allclose(ours, theirs["mask"], atol=1e-5, err_msg=name)


# the small hourglass as a network that trains in seconds
MINIATURE = {
    "model.spectrogram.n_fft": 256,
    "model.network.filters": 6,
    "model.network.levels": 2,
    "model.network.initial_widths": "[6]",
    "model.network.end_width": 6,
    "data.validation_chunks": 8,
    "epochs": 2,
    "steps_per_epoch": 4,
}


@needs_second
@pytest.mark.parametrize("name", INSTALLED[1:])
def test_a_whole_training_on_another_backend_goes_on_in_tensorflow(name, tmp_path):
    from splitstrument.training.backend import choose_backend
    from splitstrument.training.build import build_trainer
    from splitstrument.training.data.open import open_streams
    from splitstrument.training.data.tracks import load_tracks
    from splitstrument.training.settings import TrainingSettings

    folder = tmp_path / "run"
    sets = [part for key, value in MINIATURE.items() for part in ("--set", f"{key}={value}")]
    main = "from splitstrument.cli import main; main()"
    run(name, "-c", main, "train", ROOT / "trainings" / "small_hourglass.yaml", "-o", folder, "--quiet", *sets)
    rows = list(csv.DictReader((folder / "history.csv").open()))
    assert len(rows) == 2
    best = min(float(row["val_loss"]) for row in rows)

    choose_backend()
    settings = load_settings(folder / "settings.yaml", TrainingSettings).settings
    streams = open_streams(settings, load_tracks(settings, folder))
    trainer = build_trainer(settings)
    trainer.network.load_weights(read_model_folder(folder).file("best.weights.h5"))
    losses = [
        trainer.test_on_batch(streams.validation.batch(index), return_dict=True)["loss"]
        for index in range(streams.validation.steps_per_epoch)
    ]
    assert np.mean(losses) == pytest.approx(best, rel=1e-4)
