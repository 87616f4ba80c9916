"""Several processes that train together: the result of one process, and a clear end when one of them dies."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from training_data import TINY_MODEL, tiny_settings
from waiting import wait_until

from splitstrument.cli import cli
from splitstrument.errors import SettingsError
from splitstrument.network.settings import ModelSettings
from splitstrument.training.backend import choose_backend
from splitstrument.training.data.open import open_streams
from splitstrument.training.data.tracks import load_tracks
from splitstrument.training.launch import loopback_members, train_together
from splitstrument.training.team import Alone, Member, any_of, check_shareable, rows_of

choose_backend()

# plain gradient descent, since Adam turns a gradient that is zero but for rounding into a step of full size
CHANGES = {
    "epochs": 3,
    "batch_size": 4,
    "optimizer": {"name": "sgd", "learning_rate": 3e-5, "clip_norm": 50.0, "ema": 0.9, "accumulate": 2},
    "records": {"save_every_s": 0},
}
END_S = 60  # a death must be noticed long before; only a hang takes longer


def write_recipe(folder, path):
    """The settings as a recipe file."""
    path.write_text(yaml.safe_dump(tiny_settings(folder, **CHANGES).model_dump(mode="json", exclude_none=True)))
    return path


def command(*arguments):
    """The command line that trains."""
    main = "from splitstrument.cli import main; main()"
    return [sys.executable, "-c", main, "train", *map(str, arguments), "--no-export", "--quiet"]


def weights_of(run, name="last.weights.h5"):
    """All arrays of a weights file."""
    found = {}
    with h5py.File(run / name) as file:
        file.visititems(lambda key, item: found.update({key: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return found


def history_of(run):
    """Losses per epoch: (n_epochs, 2)."""
    return np.genfromtxt(run / "history.csv", delimiter=",", names=True)[["loss", "val_loss"]].tolist()


@pytest.fixture(scope="module")
def together(folder, tmp_path_factory):
    """The recipe, and the run of two processes that were never disturbed."""
    path = tmp_path_factory.mktemp("together")
    recipe = write_recipe(folder, path / "recipe.yaml")
    done = subprocess.run(
        [*command(recipe, "-o", path / "run", "--processes", 2), "--json"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["epochs"] == CHANGES["epochs"]
    return recipe, path / "run"


def test_two_processes_train_what_one_trains(folder, together, tmp_path):
    from splitstrument.training.run import train

    train(tiny_settings(folder, **CHANGES), tmp_path / "alone", quiet=True)
    _, run = together
    np.testing.assert_allclose(history_of(run), history_of(tmp_path / "alone"), rtol=1e-4)
    ours, theirs = weights_of(run), weights_of(tmp_path / "alone")
    assert ours.keys() == theirs.keys()
    for key, value in theirs.items():
        np.testing.assert_allclose(ours[key], value, atol=1e-4 * max(1.0, np.abs(value).max()), err_msg=key)
    moved = [key for key, value in theirs.items() if np.abs(value - weights_of(run, "best.weights.h5")[key]).max() > 0]
    assert moved  # it trained
    assert "2 processes" in (run / "log.txt").read_text()


@pytest.mark.slow
def test_two_processes_train_the_fast_network_on_segments(folder, tmp_path):
    from splitstrument.training.run import train

    settings = tiny_settings(
        folder,
        model={
            "spectrogram": {"sample_rate_hz": 8000, "n_fft": 512, "hop_length": 128},
            "n_frames": 32,
            "normalisation": "none",
            "network": {"kind": "bandunet", "width": 8},
        },
        data={"source": "segments"},
        augmentation={"remix": 0.6, "gain_db": 6},
        loss={"name": "relative_error", "options": {"power": 0.5}},
        optimizer={"name": "sgd", "learning_rate": 1e-2, "clip_norm": 1.0, "ema": 0.9},
        batch_size=4,
        epochs=1,
        steps_per_epoch=8,
    )
    train_together(settings, tmp_path / "together", loopback_members(2), quiet=True)
    train(settings, tmp_path / "alone", quiet=True)
    ours, theirs = weights_of(tmp_path / "together"), weights_of(tmp_path / "alone")
    for key, value in theirs.items():
        np.testing.assert_allclose(ours[key], value, atol=2e-6, err_msg=key)


def children_of(pid):
    """Processes that a process has started, in order."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for_state(run, *processes):
    """Until a training has saved its state, which it should live to do."""

    def saved() -> bool:
        assert all(process.poll() is None for process in processes), [process.stderr.read() for process in processes]
        return (run / "state" / "state.npz").exists()

    wait_until(saved)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs Linux's /proc to find the workers")
@pytest.mark.parametrize("victim", [1, pytest.param(0, marks=pytest.mark.slow)])
def test_a_worker_that_dies_ends_all_and_the_training_resumes_to_the_same_weights(together, tmp_path, victim):
    recipe, whole = together
    run = tmp_path / "run"
    parent = subprocess.Popen(command(recipe, "-o", run, "--processes", 2), stderr=subprocess.PIPE, text=True)
    wait_for_state(run, parent)
    workers = children_of(parent.pid)
    os.kill(workers[victim], signal.SIGKILL)
    killed_at = time.monotonic()
    _, message = parent.communicate(timeout=END_S)
    assert time.monotonic() - killed_at < END_S
    assert parent.returncode == 1
    assert f"Worker {victim} of 2 was killed (SIGKILL), and the others were stopped" in message.splitlines()[-1]
    assert f"--resume -o {run}" in message
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)
    assert not (run / "result.json").exists()

    resumed = subprocess.run(
        command("--resume", "-o", run, "--processes", 2), capture_output=True, text=True, check=False
    )
    assert resumed.returncode == 0, resumed.stderr[-2000:]
    ours, theirs = weights_of(run), weights_of(whole)
    for key in theirs:
        np.testing.assert_array_equal(ours[key], theirs[key], err_msg=key)
    assert history_of(run) == history_of(whole)


@pytest.mark.slow
@pytest.mark.parametrize("signal_number", [signal.SIGINT, signal.SIGKILL])
def test_workers_started_one_by_one_end_together(folder, tmp_path, signal_number):
    recipe, run = write_recipe(folder, tmp_path / "recipe.yaml"), tmp_path / "run"
    addresses = ",".join(loopback_members(2)[0].addresses)
    parents = [
        subprocess.Popen(
            command(recipe, "-o", run, "--epochs", 1000, "--cluster", addresses, "--worker", index),
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    wait_for_state(run, *parents)
    parents[1].send_signal(signal_number)  # killed, it takes its worker along
    messages = [parent.communicate(timeout=END_S)[1].splitlines()[-1:] for parent in parents]
    assert parents[0].returncode == (130 if signal_number == signal.SIGINT else 1)
    if signal_number == signal.SIGINT:
        assert messages[0] == messages[1]
        assert "Stopped after step" in messages[0][0]
    else:
        assert "Worker 0 lost the others" in messages[0][0]


@pytest.mark.parametrize(
    ("flags", "problem"),
    [
        (["--worker", "1"], "--worker counts among the addresses of --cluster"),
        (["--cluster", "a:1,b:1"], "--cluster needs --worker"),
        (["--cluster", "a:1,b:1", "--worker", "0", "--processes", "2"], "--processes is for one machine"),
        (["--cluster", "a,b:1", "--worker", "0"], "'a' is no address of a worker"),
        (["--cluster", "a:1,b:1", "--worker", "2"], "There is no worker 2"),
        (["--processes", "3"], "A batch_size of 4 cannot be shared by 3 processes"),
    ],
)
def test_wrong_flags_are_explained_before_anything_starts(folder, tmp_path, flags, problem):
    recipe = write_recipe(folder, tmp_path / "recipe.yaml")
    result = CliRunner().invoke(cli, ["train", str(recipe), "-o", str(tmp_path / "run"), *flags])
    assert result.exit_code != 0
    assert problem in result.output + str(result.exception)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("data", [{"source": "chunks", "order": "shuffled"}, {"source": "segments"}])
def test_the_parts_of_a_batch_make_it_up(folder, data):
    settings = tiny_settings(folder, batch_size=4, data=data)
    stream = open_streams(settings, load_tracks(settings)).training
    whole = stream.batch(3)
    parts = [replace(stream, rows=slice(start, start + 2)).batch(3) for start in (0, 2)]
    for name, values in whole.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), values)


def test_dropout_of_parts_is_the_dropout_of_the_whole():
    from splitstrument.network.dropout import Dropout

    def dropped(inputs, part):
        layer = Dropout(0.4, seed=3)
        layer.part = part
        return np.asarray(layer(inputs, training=True))

    inputs = np.random.default_rng(0).random((6, 5, 4, 3), np.float32)
    whole = dropped(inputs, (0, 1))
    assert 0.2 < (whole == 0).mean() < 0.6
    parts = [dropped(inputs[2 * index : 2 * index + 2], (index, 3)) for index in range(3)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_every_loss_of_parts_adds_up_to_the_loss_of_the_whole(rng):
    from splitstrument.network.losses.registry import LOSSES, make_loss
    from splitstrument.training.part_trainer import share_of_part

    n_frames = 128  # the longest window of multi_resolution wants so many
    model = ModelSettings.model_validate(TINY_MODEL | {"n_frames": n_frames})
    mixture, target = (rng.standard_normal((4, 65, n_frames, 2)).astype(np.float32) for _ in range(2))
    batch = {
        "mixture": np.hypot(mixture[..., :1], mixture[..., 1:]),
        "target": np.hypot(target[..., :1], target[..., 1:]),
        "mixture_stft": mixture,
        "target_stft": target,
        **dict.fromkeys(("known", "energy", "rest_energy"), np.ones((4, 1), np.float32)),
    }
    masks = rng.random((4, 65, n_frames, 1), np.float32)
    for name in LOSSES:
        loss = make_loss(name, {}, model)
        share = share_of_part(loss, batch, 2)
        parts = [
            share * float(loss({key: values[rows] for key, values in batch.items()}, [masks[rows]]))
            for rows in (slice(0, 2), slice(2, 4))
        ]
        assert sum(parts) == pytest.approx(float(loss(batch, [masks])), rel=1e-5), name


def test_members():
    member = Member(1, ("10.0.0.1:21000", "node-b:21000"))
    assert Member.parse(str(member)) == member
    for addresses, index, problem in (
        (("10.0.0.1",), 0, "'10.0.0.1' is no address of a worker: expected HOST:PORT"),
        (("a:1", "a:1"), 0, "Two workers have the same address"),
        (("a:1", "b:1"), 2, "There is no worker 2 among 2 addresses"),
    ):
        with pytest.raises(SettingsError, match=problem):
            Member(index, addresses)


def test_what_cannot_be_shared_is_refused(folder):
    of_stems = tiny_settings(folder, batch_size=6)
    of_stems = of_stems.model_copy(update={"data": of_stems.data.model_copy(update={"source": "stems"})})
    check_shareable(of_stems, 1)
    with pytest.raises(SettingsError, match="data.source: stems is for one process"):
        check_shareable(of_stems, 3)
    check_shareable(tiny_settings(folder, batch_size=6), 3)
    with pytest.raises(SettingsError, match="A batch_size of 4 cannot be shared by 3 processes"):
        check_shareable(tiny_settings(folder, batch_size=4), 3)
    with pytest.raises(SettingsError, match=r"compute\.xla"):
        check_shareable(tiny_settings(folder, batch_size=4, compute={"xla": True}), 2)


def test_alone_is_a_team_too():
    assert rows_of(Alone(), 4) == slice(0, 4)
    assert any_of(Alone(), True)
    assert not any_of(Alone(), False)
