"""The queue, with real trainings in real processes."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys

import pytest
import yaml
from click.testing import CliRunner
from training_data import make_pairs, tiny_settings
from waiting import wait_until

from splitstrument.cli import cli
from splitstrument.errors import SettingsError, TrainingError
from splitstrument.reproduction.queue_report import PUBLISHED_HEADER
from splitstrument.training import queue_process
from splitstrument.training.queue import Status, over_seeds, read_jobs, status_of
from splitstrument.training.queue_process import run_job
from splitstrument.training.run_folder import RunFolder, is_locked

PROGRAM = (sys.executable, "-m", "splitstrument")


@pytest.fixture
def recipe(tmp_path, rng):
    """A recipe of a training that takes a second."""
    folder = make_pairs(tmp_path / "d", ["a", "b", "c"], rng)
    settings = tiny_settings(folder, epochs=1).model_dump(mode="json", exclude_none=True)
    path = tmp_path / "tiny.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def queue_of(recipe, *entries, **options):
    """Write a queue file beside the recipe."""
    path = recipe.parent / "queue.yaml"
    path.write_text(yaml.safe_dump({"name": "q", "trainings": list(entries), **options}, sort_keys=False))
    return path


def test_a_grid_makes_one_training_per_combination(recipe, tmp_path):
    entry = {"recipe": "tiny.yaml", "grid": {"seed": [0, 1], "data.order": ["listed", "shuffled"]}}
    jobs = read_jobs([queue_of(recipe, entry, set={"epochs": 3})], tmp_path / "runs")
    assert [job.name for job in jobs] == [
        "tiny-seed_0-order_listed",
        "tiny-seed_0-order_shuffled",
        "tiny-seed_1-order_listed",
        "tiny-seed_1-order_shuffled",
    ]
    assert jobs[3].changes == {"epochs": 3, "seed": 1, "data.order": "shuffled", "name": jobs[3].name}
    assert "data.order=shuffled" in jobs[3].arguments()


def test_two_trainings_in_one_folder_are_refused(recipe, tmp_path):
    entries = {"recipe": "tiny.yaml"}, {"recipe": "tiny.yaml", "set": {"seed": 1}}
    with pytest.raises(SettingsError, match="Two trainings of the queue would write to .*tiny"):
        read_jobs([queue_of(recipe, *entries)], tmp_path / "runs")


def test_a_training_that_two_files_list_alike_is_one(recipe, tmp_path):
    """How sweeps share the training of their middle."""
    first = queue_of(recipe, {"recipe": "tiny.yaml"}, {"recipe": "tiny.yaml", "name": "other", "set": {"seed": 1}})
    assert [job.name for job in read_jobs([first, recipe.parent / "queue.yaml"], tmp_path)] == ["tiny", "other"]


def test_an_entry_changes_the_scale_of_stand_ins_only(recipe, tmp_path):
    entry = {"recipe": "tiny.yaml", "scale": {"n_fft": 0.375}}
    (job,) = read_jobs([queue_of(recipe, entry)], tmp_path)
    assert job.arguments(("--stand-in", "corpus", "--scale", "s.yaml"))[-3:] == ["s.yaml", "--scale", "n_fft=0.375"]
    assert "--scale" not in job.arguments()


def test_every_scale_reaches_a_training_and_stand_ins_have_a_folder_of_their_own(recipe):
    """Where the real trainings would be found finished if stand-ins lay in the same folder."""
    flags = ["--stand-in", "corpus", "--scale", "s.yaml", "--scale", "steps=3", "--dry-run"]
    for given, folder in (
        (recipe, "runs/tiny-stand-in"),
        (queue_of(recipe, {"recipe": "tiny.yaml"}), "runs/q-stand-in/tiny"),
    ):
        said = CliRunner().invoke(cli, ["queue", str(given), *flags], catch_exceptions=False).stdout
        assert "--stand-in corpus --scale s.yaml --scale steps=3" in said
        assert f"-o {folder} " in said
        assert "-stand-in " not in CliRunner().invoke(cli, ["queue", str(given), "--dry-run"]).stdout


def test_a_missing_recipe_is_named(recipe, tmp_path):
    with pytest.raises(SettingsError, match=r"lists absent\.yaml, but there is no"):
        read_jobs([queue_of(recipe, {"recipe": "absent.yaml"})], tmp_path)


def test_one_failure_does_not_stop_the_rest_and_nothing_is_run_twice(recipe, tmp_path, capfd):
    entries = [{"recipe": "tiny.yaml", "name": "broken", "set": {"loss.name": "absent"}}, {"recipe": "tiny.yaml"}]
    arguments = ["queue", str(queue_of(recipe, *entries)), "-o", str(tmp_path / "runs"), "--json"]
    result = CliRunner().invoke(cli, arguments)
    assert isinstance(result.exception, TrainingError)
    assert "1 of 2 trainings failed: broken" in str(result.exception)
    broken, tiny = json.loads(result.stdout)
    assert capfd.readouterr().out == "", "the trainings print beside the queue's JSON"
    assert (broken["state"], tiny["state"], tiny["epochs"]) == ("failed", "finished", 1)
    assert "There is no loss" in broken["message"]
    written = (tmp_path / "runs" / "tiny" / "last.weights.h5").stat().st_mtime_ns
    again = CliRunner().invoke(cli, arguments)
    assert "tiny: finished before" in again.stderr
    assert (tmp_path / "runs" / "tiny" / "last.weights.h5").stat().st_mtime_ns == written


@pytest.mark.parametrize("name", ["result.json", "failure.json", "state/state.npz"])
def test_one_damaged_run_does_not_stop_the_others(recipe, tmp_path, name):
    damaged = tmp_path / "runs" / "hurt" / name
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"{")
    entries = [{"recipe": "tiny.yaml", "name": "hurt"}, {"recipe": "tiny.yaml"}]
    arguments = ["queue", str(queue_of(recipe, *entries)), "-o", str(tmp_path / "runs"), "--json", "--no-export"]
    hurt, tiny = json.loads(CliRunner().invoke(cli, arguments).stdout)
    assert (hurt["state"], tiny["state"]) == ("failed", "finished")
    assert damaged.name in hurt["message"] and "is damaged" in hurt["message"]


def test_a_dry_run_is_json_if_asked_and_scale_wants_a_stand_in(recipe, tmp_path):
    arguments = ["queue", str(queue_of(recipe, {"recipe": "tiny.yaml"})), "-o", str(tmp_path / "runs"), "--dry-run"]
    ((program, *command),) = json.loads(CliRunner().invoke(cli, [*arguments, "--json"]).stdout)
    assert (program, command[0]) == ("splitstrument", "train")
    for refused in ([*arguments, "--scale", "2"], ["train", str(recipe), "--scale", "2"]):
        result = CliRunner().invoke(cli, refused)
        assert result.exit_code == 2 and "add --stand-in" in result.stderr


class DeafTraining:
    """A training that is told to stop before it can hear it."""

    stdout = ()

    def send_signal(self, number):
        """Hear nothing."""

    def wait(self):
        """Be killed, and finish all the same."""
        os.kill(os.getpid(), signal.SIGTERM)
        return 0


def test_a_queue_stops_though_its_training_missed_the_signal(recipe, tmp_path, monkeypatch):
    (job,) = read_jobs([queue_of(recipe, {"recipe": "tiny.yaml"})], tmp_path / "runs")
    monkeypatch.setattr(queue_process, "_started", lambda command: DeafTraining())
    with pytest.raises(KeyboardInterrupt):
        run_job(job, PROGRAM)


def wait_for_epochs(process, job, epochs):
    def reached() -> bool:
        assert process.poll() is None
        return status_of(job).epochs >= epochs

    wait_until(reached)


@pytest.mark.slow
def test_a_killed_queue_goes_on_where_it_was(recipe, tmp_path):
    path = queue_of(recipe, {"recipe": "tiny.yaml", "set": {"epochs": 400}})
    arguments = [*PROGRAM, "queue", str(path), "-o", str(tmp_path / "runs")]
    (job,) = read_jobs([path], tmp_path / "runs")
    process = subprocess.Popen(arguments, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wait_for_epochs(process, job, 2)
    os.kill(process.pid, signal.SIGTERM)
    assert process.wait() == 130
    stopped = status_of(job)
    assert stopped.state == "interrupted"
    path = queue_of(recipe, {"recipe": "tiny.yaml", "set": {"epochs": stopped.epochs + 1}})
    subprocess.run([*PROGRAM, "queue", str(path), "-o", str(tmp_path / "runs")], check=True, capture_output=True)
    assert (status_of(job).state, status_of(job).epochs) == ("finished", stopped.epochs + 1)


@pytest.mark.slow
@pytest.mark.parametrize("warm", [[], ["--warm"]])
def test_a_queue_that_was_killed_outright_goes_on(recipe, tmp_path, warm):
    """SIGKILL to the queue and to its training, as when a machine goes down; what was finished stays as it is."""
    entries = [{"recipe": "tiny.yaml", "name": "first"}, {"recipe": "tiny.yaml", "set": {"epochs": 400}}]
    runs = ["-o", str(tmp_path / "runs"), "--no-export", *warm]
    path = queue_of(recipe, *entries)
    first, second = read_jobs([path], tmp_path / "runs")
    process = subprocess.Popen(
        [*PROGRAM, "queue", str(path), *runs],
        stderr=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    wait_for_epochs(process, second, 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    wait_until(lambda: status_of(second).state != "running")  # the system has taken the killed training away
    stopped = status_of(second)
    assert (status_of(first).state, stopped.state) == ("finished", "interrupted")
    written = (first.folder / "last.weights.h5").stat().st_mtime_ns
    entries[1]["set"]["epochs"] = stopped.epochs + 1
    path = queue_of(recipe, *entries)
    subprocess.run([*PROGRAM, "queue", str(path), *runs], check=True, capture_output=True)
    assert (status_of(second).state, status_of(second).epochs) == ("finished", stopped.epochs + 1)
    assert (first.folder / "last.weights.h5").stat().st_mtime_ns == written


@pytest.mark.slow
def test_a_forked_training_ends_like_a_started_one(recipe, tmp_path):
    """In a process of its own, since this one may have computed with TensorFlow already."""
    entries = [{"recipe": "tiny.yaml", "name": "broken", "set": {"loss.name": "absent"}}, {"recipe": "tiny.yaml"}]
    options = ["-o", str(tmp_path / "runs"), "--json", "--no-export"]
    for flags in ([], ["--warm"]):
        folder = str(tmp_path / f"runs{len(flags)}")
        command = [*PROGRAM, "queue", str(queue_of(recipe, *entries)), *options, "-o", folder, *flags]
        done = subprocess.run(command, capture_output=True, text=True)
        broken, tiny = json.loads(done.stdout)
        assert (done.returncode, broken["state"], tiny["state"]) == (1, "failed", "finished")
        assert broken["message"].startswith("There is no loss")
    same = [(tmp_path / f"runs{index}" / "tiny" / "last.weights.h5").read_bytes() for index in (0, 1)]
    assert same[0] == same[1]


def test_the_report_keeps_published_and_measured_apart(recipe, tmp_path, rng):
    held_out = make_pairs(tmp_path / "held" / "guitar", ["x", "y"], rng)
    published = {
        "table": "T",
        "section": "7",
        "instrument": {"sdr": -6.69, "sir": 0, "sar": 0},
        "rest": {"sdr": -1.08, "sir": 0, "sar": 0},
        "trainable_parameters": 1,
        "epoch_time": "1 h",
    }
    path = queue_of(
        recipe,
        {"recipe": "tiny.yaml", "set": {"published": published}},
        {"recipe": "tiny.yaml", "name": "waiting"},
    )
    jobs = read_jobs([path], tmp_path / "runs")
    run_job(jobs[0], PROGRAM, ("--no-export",))
    table = tmp_path / "table.md"
    places = ["--tracks", str(held_out.parent), "--eq-from", str(tmp_path / "eq")]
    make_pairs(tmp_path / "eq" / "guitar", ["a", "b", "c"], rng)
    arguments = ["queue", str(path), "-o", str(tmp_path / "runs"), "--report", str(table), *places]
    result = CliRunner().invoke(cli, arguments)
    assert result.exit_code == 0, result.output
    text = re.sub(r" {2,}", " ", table.read_text())
    header, _, row = [re.split(r" ?\| ?", line) for line in text.split("\n\n")[1].splitlines()]
    assert header[1:4] == ["training", PUBLISHED_HEADER[0], "SDR instrument / rest"]
    assert row[2] == "-6.69 / -1.08"
    mixture, paired = (float(row[header.index(name)]) for name in ("over the mixture", "track by track"))
    assert paired == pytest.approx(mixture, abs=0.02)  # the median of two is their mean
    assert "-6.69" not in row[3]
    assert "Not finished: waiting." in text
    assert "| guitar | fixed EQ |" in text


def test_two_processes_cannot_train_in_one_folder(tmp_path):
    assert not is_locked(tmp_path)
    with RunFolder(tmp_path).locked():
        assert is_locked(tmp_path)
        with pytest.raises(TrainingError, match="Another process is training in"), RunFolder(tmp_path).locked():
            pass
    assert not is_locked(tmp_path)


def test_seeds_of_one_training_have_a_mean_and_a_spread(recipe, tmp_path):
    entry = {"recipe": "tiny.yaml", "grid": {"seed": [0, 1, 2], "data.order": ["listed", "shuffled"]}}
    jobs = read_jobs([queue_of(recipe, entry)], tmp_path / "runs")
    losses = [1.0, 10.0, 2.0, 20.0, 6.0, None]
    found = [Status(job.name, "finished", best_loss=loss) for job, loss in zip(jobs, losses, strict=True)]
    first, second = over_seeds(jobs, found)
    assert first["training"] == "tiny-order_listed" and (first["seeds"], first["mean"]) == (3, 3.0)
    assert first["deviation"] == pytest.approx(7**0.5)
    assert (second["lowest"], second["highest"], second["seeds"]) == (10.0, 20.0, 2)


def test_trials_of_a_search_are_no_seeds_of_one_training(recipe, tmp_path):
    def search():
        return {"trials": 3, "space": {"optimizer.learning_rate": [1e-4, 1e-3, 1e-2]}}

    jobs = read_jobs(
        [
            queue_of(
                recipe,
                {"recipe": "tiny.yaml", "grid": {"seed": [0, 1]}, "search": search()},
                {"recipe": "tiny.yaml", "name": "fixed", "set": {"seed": 5}, "search": search()},
            )
        ],
        tmp_path / "runs",
    )
    rows = over_seeds(jobs, [Status(job.name, "finished", best_loss=float(n)) for n, job in enumerate(jobs)])
    assert [(row["training"], row["seeds"], row["mean"]) for row in rows] == [
        (f"tiny-trial_00{number}", 2, number + 1.5) for number in range(3)
    ]
    assert {job.group for job in jobs} == {"tiny", "fixed"}


# what `splitstrument train` leaves and how it ends, in a hundredth of a second: epoch after epoch of one loss
TRIAL = """
import json, pathlib, signal, sys, time
import numpy as np
folder = pathlib.Path(sys.argv[sys.argv.index("-o") + 1])
loss = float(next(word for word in sys.argv if word.startswith("loss=")).partition("=")[2])
signal.signal(signal.SIGINT, lambda *_: sys.exit(130))
(folder / "state").mkdir(exist_ok=True)
epochs = 1000 if loss > 5 else 3
for epoch in range(1, epochs + 1):
    rows = [{"loss": loss, "val_loss": loss, "seconds": 0.01} for _ in range(epoch)]
    record = json.dumps({"position": {"rows": rows, "best_loss": loss}, "settings": {}})
    np.savez(folder / "state" / "new.npz", record=np.array(record))
    (folder / "state" / "new.npz").replace(folder / "state" / "state.npz")
    time.sleep(0.05 if loss > 5 else 0)
(folder / "result.json").write_text(json.dumps({"reason": "finished"}))
"""


def test_a_trial_worse_than_the_others_is_pruned_and_left_alone(recipe, tmp_path, monkeypatch):
    monkeypatch.setattr(queue_process, "WATCH_EVERY_S", 0.02)
    (tmp_path / "trial.py").write_text(TRIAL)
    search = {"trials": 4, "space": {"loss": [1.0]}, "prune": {"after_epochs": 2, "trials": 3}}
    jobs = read_jobs([queue_of(recipe, {"recipe": "tiny.yaml", "search": search})], tmp_path / "runs")
    assert [job.name for job in jobs] == [f"tiny-trial_00{number}" for number in range(4)]
    jobs[3].changes["loss"] = 9.0
    states = []
    for job in jobs:
        others = [other.folder for other in jobs if other is not job]
        states.append(run_job(job, (sys.executable, str(tmp_path / "trial.py")), others=others))
    assert [status.state for status in states] == ["finished"] * 3 + ["pruned"]
    assert "9 is above the others' median, 1" in states[3].message and states[3].epochs < 1000
    assert status_of(jobs[3]).state == "pruned"
