"""`splitstrument compare`: two runs that differ in known ways, and nothing but those shown."""

from __future__ import annotations

import json

import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from evaluation_helpers import good_estimates, make_references, write_estimates, write_pair

from splitstrument.cli import cli
from splitstrument.errors import DatasetError
from splitstrument.evaluation.compare import compare_runs
from splitstrument.evaluation.run import EvaluationSettings, score_files

SMALL = EvaluationSettings(baselines=("mixture",), ceilings=(), framewise=False)
SETTINGS = {
    "name": "mine",
    "seed": 0,
    "batch_size": 4,
    "model": {"n_frames": 64, "network": {"kind": "bandunet", "width": 96}},
    "datasets": [{"path": "data/a", "name": "a", "ratio": 1.0}, {"path": "data/b", "name": "b", "ratio": 1.0}],
    "records": {"tensorboard": False},
}
PROVENANCE = {"splitstrument": "1.0", "commit": "abc", "packages": {"numpy": "2.4", "keras": "3.15"},
              "tracks": {"training": ["a/1", "a/2"], "validation": ["b/1"]}}  # fmt: skip


def write_run(folder, settings, provenance, losses):
    folder.mkdir(parents=True)
    (folder / "settings.yaml").write_text(yaml.safe_dump(settings))
    (folder / "provenance.json").write_text(json.dumps(provenance))
    rows = [f"{epoch},10,{loss},{loss + 1},3600" for epoch, loss in enumerate(losses, 1)]
    (folder / "history.csv").write_text("\n".join(["epoch,steps,loss,val_loss,seconds", *rows]) + "\n")


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of one recipe; the second is wider, saw another track, and is better on all seven tracks."""
    folder, rng = tmp_path_factory.mktemp("compare"), np.random.default_rng(2)
    write_run(folder / "narrow" / "run", SETTINGS, PROVENANCE, [3.0, 2.0])
    wide = {**SETTINGS, "name": "other", "model": {"n_frames": 64, "network": {"kind": "bandunet", "width": 128}},
            "datasets": [SETTINGS["datasets"][0], {"path": "data/b", "name": "b", "ratio": 2.0}],
            "records": {"tensorboard": True}}  # fmt: skip
    seen = {**PROVENANCE, "commit": "def", "tracks": {"training": ["a/1", "a/3"], "validation": ["b/1"]}}
    write_run(folder / "wide" / "run", wide, seen, [2.5])
    (folder / "wide" / "run" / "result.json").write_text(json.dumps({"reason": "early stopping"}))
    for index in range(7):
        signals = make_references(rng, 1.0)
        write_pair(folder / "data", f"t{index}", signals)
        for name, level in (("narrow", 0.3), ("wide", 0.1)):
            write_estimates(folder / f"made_{name}", f"t{index}", good_estimates(signals, rng, level))
    for name in ("narrow", "wide"):
        out = folder / name / "run" / "evaluation" / "data"
        score_files(folder / "data", folder / f"made_{name}", out, SMALL)
    return [folder / "narrow" / "run", folder / "wide" / "run"]


def test_what_differs_is_shown_and_nothing_else(runs):
    found = compare_runs(runs)
    parts = {name: {row.name: row.values for row in rows} for name, rows in found.parts.items()}
    assert found.runs == ("narrow/run", "wide/run")
    assert parts["settings"] == {"model.network.width": (96, 128), "datasets.b.ratio": (1.0, 2.0)}
    assert parts["made with"] == {"commit": ("abc", "def")}
    assert parts["data"] == {"training tracks that not all have": ("a/2", "a/3")}
    assert parts["training"] == {
        "epochs": (2, 1),
        "steps": (20, 10),
        "last loss": (2.0, 2.5),
        "best validation loss": (3.0, 3.5),
        "hours": (2.0, 1.0),
        "ended by": ("stopped, or not done", "early stopping"),
    }
    narrow, wide = parts["scores"]["data: instrument SI-SDR"]
    assert wide > narrow + 5


def test_the_pair_is_tested_track_by_track(runs):
    tests = compare_runs(runs).pairs
    assert [(test["run"], test["source"], test["n"], test["wins"]) for test in tests] == [
        ("wide/run", "instrument", 7, 7),
        ("wide/run", "rest", 7, 7),
    ]
    assert all(test["p"] == 2 / 2**7 and test["p_corrected"] == 4 / 2**7 for test in tests)


def test_the_command_prints_tables_or_json(runs):
    text = CliRunner().invoke(cli, ["compare", *map(str, runs)]).stdout
    assert "| model.network.width |         96 |      128 |" in text
    assert "seed" not in text and "tensorboard" not in text and "7 of 7" in text
    found = json.loads(CliRunner().invoke(cli, ["compare", *map(str, runs), "--json"]).stdout)
    assert {"name": "model.network.width", "values": [96, 128]} in found["parts"]["settings"]


def test_evaluations_alone_and_what_is_no_run(runs, tmp_path):
    folders = [run / "evaluation" / "data" for run in runs]
    found = compare_runs(folders)
    assert "settings" not in found.parts and found.runs == ("narrow/run/evaluation/data", "wide/run/evaluation/data")
    assert "All settings are the same" not in CliRunner().invoke(cli, ["compare", *map(str, folders)]).stdout
    with pytest.raises(DatasetError, match="neither a run"):
        compare_runs([runs[0], tmp_path])
    with pytest.raises(DatasetError, match="at least two runs"):
        compare_runs(runs[:1])
    with pytest.raises(DatasetError, match="compared with itself"):
        compare_runs([runs[0], runs[0]])
