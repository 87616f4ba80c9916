"""Whole trainings of a tiny network: determinism, exact resume, records, and what stops them."""

from __future__ import annotations

import csv
import os
import shutil
import signal
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from training_data import TINY_MODEL, make_pairs, tiny_settings

from splitstrument.errors import CancelledError, DatasetError, TrainingError
from splitstrument.model_folder import ModelDescription, read_model_folder, shipped_models, write_model_folder
from splitstrument.network.bandunet import member_of
from splitstrument.network.registry import build_network
from splitstrument.training import loop
from splitstrument.training.backend import choose_backend
from splitstrument.training.build import build_trainer, load_initial_weights
from splitstrument.training.run import train
from splitstrument.training.trainer import weights_to_keep

choose_backend()

BAND = {"kind": "bandunet", "folds": [2, 4], "width": 8, "growth": 4, "levels": 2}


def weights_of(run, name="last.weights.h5"):
    """All arrays of a weights file."""
    found = {}
    with h5py.File(run / name) as file:
        file.visititems(lambda key, item: found.update({key: item[()]}) if isinstance(item, h5py.Dataset) else None)
    assert found
    return found


def assert_same_weights(one, other):
    """Bit for bit."""
    one, other = weights_of(one), weights_of(other)
    assert one.keys() == other.keys()
    for key in one:
        np.testing.assert_array_equal(one[key], other[key], err_msg=key)


def run_of(settings, path, **options):
    """Train in silence."""
    return train(settings, path, quiet=True, **options)


# everything whose state must survive: averaging, accumulation, schedule, dropout, augmentation order
DEMANDING = {
    "epochs": 3,
    "optimizer": {
        "learning_rate": 1e-2,
        "ema": 0.9,
        "ema_batches": 2,
        "accumulate": 2,
        "clip_norm": 50.0,
        "schedule": {"kind": "cosine", "warmup_steps": 3},
    },
}


@pytest.fixture(scope="module")
def demanding_run(folder, tmp_path_factory):
    """A training that was never stopped."""
    path = tmp_path_factory.mktemp("runs") / "whole"
    run_of(tiny_settings(folder, **DEMANDING), path)
    return path


def test_the_same_settings_give_the_same_weights(folder, demanding_run, tmp_path):
    run_of(tiny_settings(folder, **DEMANDING), tmp_path / "again")
    assert_same_weights(demanding_run, tmp_path / "again")


@pytest.mark.slow
def test_another_seed_gives_other_weights(folder, demanding_run, tmp_path):
    run_of(tiny_settings(folder, **DEMANDING, seed=1), tmp_path / "other")
    ours, theirs = weights_of(demanding_run), weights_of(tmp_path / "other")
    assert any(not np.array_equal(ours[key], theirs[key]) for key in ours)


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 5, pytest.param(8, marks=pytest.mark.slow)])
def test_a_killed_training_resumes_to_the_same_weights(folder, demanding_run, tmp_path, monkeypatch, step):
    settings = tiny_settings(folder, **DEMANDING, records={"save_every_s": 0})
    whole = loop.Loop._train_step

    def dying(self, batch):
        if self.position.step == step:
            raise RuntimeError("power cut")
        whole(self, batch)

    monkeypatch.setattr(loop.Loop, "_train_step", dying)
    with pytest.raises(RuntimeError, match="power cut"):
        run_of(settings, tmp_path / "run")
    monkeypatch.setattr(loop.Loop, "_train_step", whole)
    run_of(settings, tmp_path / "run", resume=True)
    assert_same_weights(demanding_run, tmp_path / "run")
    columns = ("epoch", "loss", "val_loss", "learning_rate")
    histories = [list(csv.DictReader((path / "history.csv").open())) for path in (demanding_run, tmp_path / "run")]
    for one, other in zip(*histories, strict=True):
        assert [float(one[c]) for c in columns] == pytest.approx([float(other[c]) for c in columns], rel=1e-12)


def test_ctrl_c_saves_and_resumes(folder, demanding_run, tmp_path, monkeypatch):
    settings = tiny_settings(folder, **DEMANDING)
    whole = loop.Loop._train_step

    def interrupted(self, batch):
        whole(self, batch)
        if self.position.step == 2:
            os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(loop.Loop, "_train_step", interrupted)
    with pytest.raises(CancelledError, match=r"Stopped after step 2 of \d+; go on with: splitstrument train --resume"):
        run_of(settings, tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    monkeypatch.setattr(loop.Loop, "_train_step", whole)
    run_of(settings, tmp_path / "run", resume=True)
    assert_same_weights(demanding_run, tmp_path / "run")


def test_a_run_folder_is_whole_and_learned_something(folder, tmp_path):
    result = run_of(tiny_settings(folder, epochs=12), tmp_path / "run")
    run = read_model_folder(tmp_path / "run")
    assert run.file("best.weights.h5").is_file()
    assert run.file("last.weights.h5").is_file()
    for name in ("settings.yaml", "history.csv", "loss.png", "log.txt", "provenance.json", "state/state.npz"):
        assert (tmp_path / "run" / name).stat().st_size > 0
    rows = list(csv.DictReader((tmp_path / "run" / "history.csv").open()))
    assert len(rows) == 12 == result.epochs
    assert float(rows[-1]["loss"]) < 0.7 * float(rows[0]["loss"])
    assert result.best_loss == pytest.approx(min(float(row["val_loss"]) for row in rows))
    assert not list((tmp_path / "run").glob(".*"))


def test_early_stopping_and_plateau(folder, tmp_path):
    settings = tiny_settings(
        folder,
        epochs=9,
        early_stopping={"patience": 3, "min_delta": 1e9},
        optimizer={"learning_rate": 1e-3, "schedule": {"kind": "plateau", "patience": 2, "factor": 0.5}},
    )
    result = run_of(settings, tmp_path / "run")
    assert (result.epochs, result.reason) == (
        4,
        "early stopping",
    )  # the first one sets the mark, three more do not fall
    rates = [float(row["learning_rate"]) for row in csv.DictReader((tmp_path / "run" / "history.csv").open())]
    assert rates == pytest.approx([1e-3, 1e-3, 1e-3, 5e-4])


def test_without_validation_the_last_weights_are_the_best(folder, tmp_path):
    run_of(tiny_settings(folder, epochs=1, validation_ratio=0), tmp_path / "run")
    last, best = (weights_of(tmp_path / "run", name) for name in ("last.weights.h5", "best.weights.h5"))
    assert all(np.array_equal(last[key], best[key]) for key in last)


@pytest.mark.parametrize(("start", "file"), [("", "best.weights.h5"), ("last.weights.h5", "last.weights.h5")])
def test_init_from_starts_from_the_best_weights_or_those_it_names(folder, demanding_run, tmp_path, start, file):
    frozen = {"learning_rate": 1e-20}
    run_of(tiny_settings(folder, epochs=1, optimizer=frozen, init_from=str(demanding_run / start)), tmp_path / "run")
    ours, theirs = weights_of(tmp_path / "run"), weights_of(demanding_run, file)
    for key, value in ours.items():
        if "conv" in key:
            np.testing.assert_allclose(value, theirs[key], atol=1e-12)


def test_init_from_a_shipped_model_starts_from_its_weights():
    guitar = read_model_folder(shipped_models()["guitar"])
    settings = tiny_settings(Path("x"), model=guitar.settings, init_from="guitar")
    trainer = build_trainer(settings)
    load_initial_weights(trainer, settings)
    theirs = build_network(guitar.settings)
    theirs.load_weights(guitar.file("best.weights.h5"))
    assert all(np.array_equal(*pair) for pair in zip(trainer.network.get_weights(), theirs.get_weights(), strict=True))
    wider = settings.model.network.model_copy(update={"width": 32})
    settings = settings.model_copy(update={"model": settings.model.model_copy(update={"network": wider})})
    with pytest.raises(TrainingError, match=r"init_from: guitar has another network.width"):
        load_initial_weights(build_trainer(settings), settings)


def test_init_from_a_model_of_several_members_starts_from_the_first(tmp_path):
    settings = tiny_settings(Path("x"), model={**TINY_MODEL, "network": BAND}, init_from=str(tmp_path))
    members = settings.model.model_copy(update={"network": settings.model.network.model_copy(update={"members": 2})})
    both = build_network(members)
    both.save_weights(tmp_path / "best.weights.h5")
    write_model_folder(tmp_path, ModelDescription(name="both", model=members), ["best.weights.h5"])
    trainer = build_trainer(settings)
    load_initial_weights(trainer, settings)
    first, second = (member_of(both, index).get_weights() for index in range(2))
    assert all(np.array_equal(*pair) for pair in zip(trainer.network.get_weights(), first, strict=True))
    assert any((ours != theirs).any() for ours, theirs in zip(first, second, strict=True))


def test_init_from_another_network_is_refused(folder, demanding_run, tmp_path):
    settings = tiny_settings(folder, init_from=str(demanding_run))
    network = settings.model.network.model_copy(update={"filters": 5})
    settings = settings.model_copy(update={"model": settings.model.model_copy(update={"network": network})})
    with pytest.raises(TrainingError, match=r"has another network\.filters"):
        run_of(settings, tmp_path / "run")


def test_averaged_weights_have_statistics_of_their_own(rng):
    """The first normalization's mean is the mean of what it gets; afterwards all is as it was."""
    settings = tiny_settings(Path("x"), optimizer={"ema": 0.5})
    trainer = build_trainer(settings)
    network = trainer.network
    first = next(layer for layer in network.layers if isinstance(layer, keras.layers.BatchNormalization))
    before = network.get_weights()
    mixtures = [rng.random((2, *settings.model.input_shape)).astype(np.float32) for _ in range(3)]
    with weights_to_keep(trainer, settings.optimizer, mixtures):
        seen = keras.Model(network.input, first.input)
        outputs = [np.asarray(seen(mixture, training=True)) for mixture in mixtures]
        means = [output.mean(axis=(0, 1, 2)) for output in outputs]
        variances = [output.var(axis=(0, 1, 2)) for output in outputs]
        np.testing.assert_allclose(first.moving_mean, np.mean(means, axis=0), rtol=1e-4, atol=1e-6)
        np.testing.assert_allclose(first.moving_variance, np.mean(variances, axis=0), rtol=1e-3, atol=1e-6)
    for ours, theirs in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert first.momentum == 0.99


def test_a_taken_folder_and_a_changed_recipe_are_refused(folder, demanding_run, tmp_path):
    with pytest.raises(TrainingError, match="holds a training already: go on with --resume"):
        run_of(tiny_settings(folder, **DEMANDING), demanding_run)
    with pytest.raises(TrainingError, match=r"was trained with another batch_size \(2, now 1\)"):
        run_of(tiny_settings(folder, **DEMANDING).model_copy(update={"batch_size": 1}), demanding_run, resume=True)
    with pytest.raises(TrainingError, match="holds no training to resume"):
        run_of(tiny_settings(folder), tmp_path / "empty", resume=True)


@pytest.mark.parametrize("kept", [0, 50, 0.5])
def test_a_damaged_state_is_told_in_one_sentence(folder, demanding_run, tmp_path, kept):
    shutil.copytree(demanding_run, tmp_path / "run")
    state = tmp_path / "run" / "state" / "state.npz"
    size = kept if isinstance(kept, int) else int(kept * state.stat().st_size)
    state.write_bytes(state.read_bytes()[:size])
    with pytest.raises(TrainingError, match="is damaged"):
        run_of(tiny_settings(folder, **DEMANDING), tmp_path / "run", resume=True)


def test_a_training_goes_on_with_another_overlap_and_gate(folder, tmp_path):
    """They are for separation: the weights do not know them, the model does."""
    run_of(tiny_settings(folder, epochs=1), tmp_path / "run")
    settings = tiny_settings(folder, epochs=2)
    model = settings.model.model_copy(update={"overlap": 0.25, "gate_db": -16.0})
    run_of(settings.model_copy(update={"model": model}), tmp_path / "run", resume=True)
    assert read_model_folder(tmp_path / "run").settings == model


def test_a_training_goes_on_only_with_the_tracks_it_had(tmp_path, rng):
    """Batches are a function of the tracks: with others the result would not be that of a training never stopped."""
    folder = make_pairs(tmp_path / "d", ["a", "b", "c"], rng)
    run_of(tiny_settings(folder, epochs=1), tmp_path / "run")
    make_pairs(folder, ["new"], rng)
    with pytest.raises(TrainingError, match="was trained on other tracks than its datasets hold now"):
        run_of(tiny_settings(folder, epochs=2), tmp_path / "run", resume=True)


def test_missing_data_leave_no_folder_behind(tmp_path):
    with pytest.raises(DatasetError, match="is not there"):
        run_of(tiny_settings(tmp_path / "absent"), tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_loss_that_is_no_number_stops(folder, tmp_path):
    with pytest.raises(TrainingError, match=r"The loss became (nan|inf) at step \d+ of tiny: lower"):
        run_of(tiny_settings(folder, epochs=40, optimizer={"name": "sgd", "learning_rate": 1e30}), tmp_path / "run")


def test_a_run_stands_on_its_own(folder, tmp_path, monkeypatch):
    """It goes on from any working folder, by its own settings, and says what a changed recipe would have changed."""
    from click.testing import CliRunner

    from splitstrument.cli import cli
    from splitstrument.files import write_yaml

    monkeypatch.chdir(folder.parent)
    settings = tiny_settings(folder, epochs=1, steps_per_epoch=1)
    data = settings.model_dump(mode="json", exclude_none=True)
    recipe = tmp_path / "recipes" / "tiny.yaml"
    recipe.parent.mkdir()
    write_yaml(recipe, {**data, "datasets": [{"path": folder.name}]})
    flags = ["-o", str(tmp_path / "run"), "--no-export", "--quiet"]
    assert CliRunner().invoke(cli, ["train", str(recipe), *flags]).exit_code == 0
    monkeypatch.chdir("/")
    done = CliRunner().invoke(cli, ["train", "--resume", *flags, "--epochs", "2"])
    assert done.exit_code == 0 and "2 epochs" in done.stdout, done.output
    write_yaml(recipe, {**data, "datasets": [{"path": folder.name}], "batch_size": 1})
    done = CliRunner().invoke(cli, ["train", str(recipe), "--resume", *flags, "--epochs", "3"])
    assert done.exit_code == 0 and "3 epochs" in done.stdout, done.output
    assert "another batch_size (2, now 1)" in done.stderr
    assert str(tmp_path) not in (tmp_path / "run" / "settings.yaml").read_text()  # nobody's home folder
    refused = CliRunner().invoke(cli, ["train", "--resume", *flags, "--set", "batch_size=1"])
    assert "was trained with another batch_size (2, now 1)" in str(refused.exception)
