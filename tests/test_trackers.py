"""Trackers: read back by their own readers; one that fails takes nothing with it."""

from __future__ import annotations

import json
import sys

import pytest
from click.testing import CliRunner
from evaluation_helpers import good_estimates, make_references, write_estimates, write_pair

from splitstrument import audio
from splitstrument.cli import cli
from splitstrument.errors import SettingsError
from splitstrument.trackers import TRACKERS, TrackedRun, check_tracker, flat, tracking


@pytest.fixture
def run(tmp_path):
    return TrackedRun("mine", tmp_path / "run", {"batch_size": 4, "model": {"n_frames": 32, "network": {"kind": "x"}}})


def tensorboard_scalars(folder):
    """Name -> list of (step, value)."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    from tensorboard.util.tensor_util import make_ndarray

    events = accumulator.EventAccumulator(str(folder)).Reload()
    names = events.Tags()["tensors"]
    return {name: [(e.step, float(make_ndarray(e.tensor_proto))) for e in events.Tensors(name)] for name in names}


def test_tensorboard_reads_what_was_told(run, tmp_path):
    failures = []
    for steps in ((1, 2), (3,)):  # as of a training that was resumed
        with tracking(["tensorboard"], run, failures.append) as trackers:
            for step in steps:
                trackers.log({"loss": 1 / step, "val_loss": None}, step)
    assert tensorboard_scalars(run.folder / "tensorboard") == {
        "loss": [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3, abs=1e-6))]
    }
    with tracking([f"tensorboard:{tmp_path / 'elsewhere'}"], run, failures.append) as trackers:
        trackers.log({"loss": 2.0}, 7)
    assert tensorboard_scalars(tmp_path / "elsewhere") == {"loss": [(7, 2.0)]} and failures == []


def test_mlflow_keeps_one_run_in_files(run, tmp_path, monkeypatch):
    pytest.importorskip("mlflow", reason="the extra [mlflow] is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    from mlflow.tracking import MlflowClient

    name, failures = f"mlflow:{tmp_path / 'store'}", []
    with tracking([name], run, failures.append) as trackers:
        trackers.log({"loss": 1.0, "instrument/si_sdr": -0.5, "val_loss": None}, 1)
    with pytest.raises(KeyboardInterrupt), tracking([name], run, failures.append) as trackers:
        trackers.log({"loss": 0.5}, 2)
        raise KeyboardInterrupt
    client = MlflowClient((tmp_path / "store").as_uri())
    experiment = client.get_experiment_by_name("splitstrument")
    (kept,) = client.search_runs([experiment.experiment_id])
    assert kept.info.run_name == "mine" and kept.info.status == "FAILED"
    assert kept.data.params == {"batch_size": "4", "model.n_frames": "32", "model.network.kind": "x"}
    assert kept.data.metrics == {"loss": 0.5, "instrument/si_sdr": -0.5}
    assert [(m.step, m.value) for m in client.get_metric_history(kept.info.run_id, "loss")] == [(1, 1.0), (2, 0.5)]
    assert failures == []


def test_a_tracker_that_fails_is_left_out_and_the_others_go_on(run, monkeypatch):
    told, failures = [], []

    class Breaking:
        def log(self, values, step):
            raise ConnectionError("the server went away")

    class Noting:
        def log(self, values, step):
            told.append((step, values))

        def end(self, finished):
            told.append(finished)

    monkeypatch.setattr(TRACKERS, "table", {"breaking": lambda *_: Breaking(), "noting": lambda *_: Noting()})
    with tracking(["breaking", "noting"], run, failures.append) as trackers:
        trackers.log({"loss": 1.0}, 1)
        trackers.log({"loss": 2.0}, 2)
    assert told == [(1, {"loss": 1.0}), (2, {"loss": 2.0}), True]
    assert failures == ["The tracker breaking failed and is left out from here on: the server went away"]


def test_a_tracker_that_cannot_be_opened_is_refused_before_any_work(run, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(SettingsError, match="tensorboard:.*cannot be opened"),
        tracking([f"tensorboard:{tmp_path / 'file' / 'below'}"], run, print),
    ):
        pytest.fail("the block must not run")
    with pytest.raises(ValueError, match="no tracker 'mlfow'.*tensorboard, mlflow"):
        check_tracker("mlfow")
    result = CliRunner().invoke(cli, ["score", str(tmp_path), str(tmp_path), "--log-to", "mlfow"])
    assert result.exit_code == 2 and "no tracker 'mlfow'" in result.output


def test_settings_are_flat():
    assert flat({"a": 1, "b": {"c": {"d": [1, 2]}, "e": None}}) == {"a": 1, "b.c.d": [1, 2], "b.e": None}


def test_an_evaluation_is_tracked(tmp_path, rng):
    signals = make_references(rng, 1.5)
    write_pair(tmp_path / "references", "song", signals)
    write_estimates(tmp_path / "estimates", "song", good_estimates(signals, rng))
    arguments = ["score", tmp_path / "references", tmp_path / "estimates", "--no-v4", "--json", "-o", tmp_path / "out"]
    result = CliRunner().invoke(cli, [*map(str, arguments), "--log-to", "tensorboard"])
    assert result.exit_code == 0, result.output
    record, scalars = json.loads(result.stdout), tensorboard_scalars(tmp_path / "out" / "tensorboard")
    for source in ("instrument", "rest"):
        median = record["summary"]["estimate"][source]["si_sdr"]["median"]
        gain = record["improvement"]["mixture"][source]["si_sdr"]["median_difference"]
        assert scalars[f"{source}/si_sdr"] == [(0, pytest.approx(median, abs=1e-4))]
        assert scalars[f"{source}/si_sdr_over_mixture"] == [(0, pytest.approx(gain, abs=1e-4))]


@pytest.fixture
def scored(tmp_path, rng):
    """Score estimates of two stems with further flags."""
    for name, signal in zip(("guitar", "piano"), make_references(rng, 1.5), strict=True):
        audio.write(tmp_path / "stems" / "song" / f"{name}.wav", signal, 44100)
    arguments = ["score", tmp_path / "stems", tmp_path / "stems", "--no-v4", "--no-baselines", "-o", tmp_path / "out"]
    return lambda *flags: CliRunner().invoke(cli, list(map(str, (*arguments, *flags))))


def test_stems_and_folders_of_results_are_tracked_apart(scored, tmp_path):
    result = scored("--log-to", f"tensorboard:{tmp_path / 'board'}", "--name", "x")
    assert result.exit_code == 0, result.output
    names = [f"x on stems ({stem})" for stem in ("guitar", "piano")]
    assert sorted(path.name for path in (tmp_path / "board").iterdir()) == names
    assert all(len(tensorboard_scalars(tmp_path / "board" / name)["tracks"]) == 1 for name in names)


def test_a_tracker_that_is_not_installed_is_refused_before_any_work(scored, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "mlflow", None)
    result = scored("--log-to", "mlflow")
    assert result.exit_code == 1 and "splitstrument[mlflow]" in str(result.output) + str(result.exception)
    assert not (tmp_path / "out").exists()


def test_tables_are_printed_whatever_trackers_do(scored, tmp_path):
    (tmp_path / "file").write_text("")
    result = scored("--log-to", f"tensorboard:{tmp_path / 'file'}", "--log-to", "tensorboard")
    assert result.exit_code == 0 and result.stdout.count("Written to") == 2
    assert result.stderr.count("cannot be opened") == 2
    assert "tracks" in tensorboard_scalars(tmp_path / "out" / "piano" / "tensorboard")  # the other one was told
