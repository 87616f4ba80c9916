"""What a training computes with: exact at any load, XLA never dropped in silence, and a record of what is in force."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from training_data import make_pairs, tiny_settings

from splitstrument.errors import SettingsError
from splitstrument.training.backend import choose_backend
from splitstrument.training.compute import check_compute, in_force
from splitstrument.training.run import train
from splitstrument.training.settings import ComputeSettings

choose_backend()

SUPPORT = Path(__file__).parents[1] / "support"


def test_tensorflow_computes_one_operation_at_a_time_where_it_is_to_be_exact():
    import tensorflow as tf

    assert tf.config.threading.get_inter_op_parallelism_threads() == 1
    assert in_force(ComputeSettings())["exact"] is True
    assert in_force(ComputeSettings(deterministic=False))["exact"] == "no: compute.deterministic is false"


@pytest.mark.slow
def test_a_tensorflow_that_had_begun_before_is_not_called_exact():
    code = (
        "import tensorflow as tf; tf.zeros(1)\n"
        "from splitstrument.training.compute import in_force\n"
        "from splitstrument.training.settings import ComputeSettings\n"
        "print(in_force(ComputeSettings())['exact'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("no: TensorFlow had begun to compute")


def test_xla_with_determinism_is_refused_before_anything_is_written(tmp_path):
    both = tiny_settings(tmp_path / "absent", compute={"xla": True})
    with pytest.raises(SettingsError, match=r"compute\.xla: true and compute\.deterministic: true exclude each other"):
        train(both, tmp_path / "run", quiet=True)
    assert not (tmp_path / "run").exists()
    check_compute(ComputeSettings(xla=True, deterministic=False))


def test_a_run_records_what_it_computes_with(tmp_path, rng):
    folder = make_pairs(tmp_path / "d", ["a", "b"], rng)
    train(tiny_settings(folder, epochs=1, steps_per_epoch=1), tmp_path / "run", quiet=True)
    recorded = json.loads((tmp_path / "run" / "provenance.json").read_text())["compute"]
    expected = {"backend": "tensorflow", "device": "CPU", "precision": "float32", "xla": False, "exact": True}
    assert recorded == expected
    assert "computes with backend tensorflow" in (tmp_path / "run" / "log.txt").read_text()


@pytest.mark.slow
def test_undisturbed_and_killed_trainings_give_one_result_on_a_busy_machine():
    """Five levels, processes of their own, SIGKILL at random moments; the whole table is 3 runs and 20 kills."""
    command = [sys.executable, str(SUPPORT / "exact_runs.py"), "--runs", "2", "--kills", "4"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": ""})
    assert done.returncode == 0, done.stderr[-2000:]
    assert "6 runs, one result" in done.stdout


def test_statistics_of_the_weights_that_are_saved_are_estimated_on_request(tmp_path, rng):
    """After one step the moving variance has hardly left its start; estimated, it is that of the batches."""
    import h5py

    folder = make_pairs(tmp_path / "d", ["a", "b", "c"], rng)
    found = {}
    for batches in (0, 3):
        optimizer = {"learning_rate": 1e-4, "statistics_batches": batches}
        settings = tiny_settings(folder, epochs=1, steps_per_epoch=1, optimizer=optimizer)
        result = train(settings, tmp_path / str(batches), quiet=True)
        with h5py.File(tmp_path / str(batches) / "last.weights.h5") as file:
            found[batches] = file["layers/batch_normalization/vars/3"][()]  # gamma, beta, mean, variance
        assert np.isfinite(result.best_loss)
    assert found[0].min() > 0.98  # momentum 0.99 from 1
    assert found[3].max() < 0.5
