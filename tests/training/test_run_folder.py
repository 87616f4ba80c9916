"""What a run leaves to be read by others: TensorBoard's event files; best and last weights, evaluated side by side."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from click.testing import CliRunner
from training_data import tiny_settings

from splitstrument.cli import cli
from splitstrument.evaluation.report.data import load_evaluations, seed_groups
from splitstrument.training.backend import choose_backend
from splitstrument.training.run import train

choose_backend()


@pytest.fixture(scope="module")
def run(folder, tmp_path_factory):
    """A run whose last epochs made it worse: the rate rises until it forgets."""
    path = tmp_path_factory.mktemp("runs") / "run"
    optimizer = {"name": "sgd", "learning_rate": 0.2, "schedule": {"warmup_steps": 200}, "clip_norm": 1.0}
    train(tiny_settings(folder, epochs=6, optimizer=optimizer, records={"tensorboard": True}), path, quiet=True)
    return path


def test_tensorboard_reads_the_history(run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    record = EventAccumulator(str(run / "tensorboard")).Reload()
    rows = list(csv.DictReader((run / "history.csv").open()))
    assert len(rows) == 6
    for column in ("loss", "val_loss", "learning_rate"):
        events = record.Tensors(column)
        assert [event.step for event in events] == [int(row["epoch"]) for row in rows]
        np.testing.assert_allclose(
            [make_ndarray(event.tensor_proto) for event in events], [float(row[column]) for row in rows], rtol=1e-6
        )


def evaluate(*arguments):
    """Run the command; its output."""
    result = CliRunner().invoke(cli, ["evaluate", *map(str, arguments), "--no-v4", "--json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_best_and_last_weights_are_evaluated_side_by_side(run, folder, tmp_path):
    best, last = evaluate(run, "--tracks", folder, "--track", "c", "--weights", "best,last")
    assert [record["name"] for record in (best, last)] == ["tiny", "tiny (last weights)"]
    assert list(last["model"]["files"]) == ["last.weights.h5"]
    scores = [record["tracks"][0]["scores"]["estimate"]["instrument"]["si_sdr"] for record in (best, last)]
    assert scores[0] != scores[1]
    assert not list(run.glob(".last-*"))

    evaluations = load_evaluations([run])
    assert {evaluation.name for evaluation in evaluations} == {"tiny", "tiny (last weights)"}
    assert len({evaluation.data for evaluation in evaluations}) == 1
    assert seed_groups(evaluations) == []  # one run, one seed
    page = CliRunner().invoke(cli, ["report", str(run), "-o", str(tmp_path / "report"), "--examples", "0"])
    assert page.exit_code == 0, page.output
    rows = [line for line in (tmp_path / "report" / "report.md").read_text().splitlines() if "tiny" in line]
    assert any("tiny (last weights)" in row for row in rows)


def test_weights_that_are_not_there(run, folder):
    for weights, problem in (("first", "should be best, last, or best,last"),):
        result = CliRunner().invoke(cli, ["evaluate", str(run), "--tracks", str(folder), "--weights", weights])
        assert result.exit_code == 2
        assert problem in result.output
    result = CliRunner().invoke(cli, ["evaluate", "guitar", "--tracks", str(folder), "--weights", "last"])
    assert "has no last.weights.h5: only a run folder keeps the last weights" in str(result.exception)
