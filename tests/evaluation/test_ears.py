"""Metrics beside the ratings of a listening test: rank correlations, against SciPy's and in the report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import yaml
from click.testing import CliRunner
from evaluation_helpers import good_estimates, make_references, write_estimates, write_pair

from splitstrument.cli import cli
from splitstrument.errors import DatasetError
from splitstrument.evaluation.ears import agreements
from splitstrument.evaluation.listening import ANCHOR, REFERENCE, Ratings
from splitstrument.evaluation.report.data import load_evaluations
from splitstrument.evaluation.run import EvaluationSettings, score_files
from splitstrument.evaluation.statistics import kendall_tau

SMALL = EvaluationSettings(baselines=("mixture",), ceilings=(), framewise=False)
LEVELS = {"alpha": 0.05, "beta": 0.2, "gamma": 0.6}


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Three systems on four tracks."""
    rng, folder = np.random.default_rng(9), tmp_path_factory.mktemp("ears")
    for name in "abcd":
        signals = make_references(rng, 1.5)
        write_pair(folder / "data", name, signals)
        for system, level in LEVELS.items():
            write_estimates(folder / system, name, good_estimates(signals, rng, level * rng.uniform(0.7, 1.4)))
    for system in LEVELS:
        score_files(folder / "data", folder / system, folder / "out" / system, SMALL)
    return [folder / "out" / system for system in LEVELS]


def values_of(evaluations, key):
    """Metric by (track, system), the anchor included."""
    found = {}
    for evaluation in evaluations:
        for track in evaluation.record["tracks"]:
            scores = track["scores"]
            found[track["track"], evaluation.name] = scores["estimate"]["instrument"][key]
            found[track["track"], ANCHOR] = scores["mixture"]["instrument"][key]
    return found


def write_ratings(path, rating_of, stimuli, reference=100):
    rows = [
        {"session": "s", "listener": "Ada", "trial": trial, "kind": "mushra", "track": track, "system": system,
         "rating": round(rating_of(track, system), 3)}
        for trial, (track, system) in enumerate(stimuli)
    ]  # fmt: skip
    rows += [{**rows[0], "trial": 99, "system": REFERENCE, "rating": reference}]
    ratings = Ratings(path)
    for row in rows:
        ratings.replace([row])
    return path


def test_tau_is_scipys(rng):
    for ties in (1.0, 4.0):
        a, b = (np.round(ties * rng.standard_normal(25)) for _ in range(2))
        assert kendall_tau(a, b) == pytest.approx(scipy.stats.kendalltau(a, b).statistic)
    assert kendall_tau(np.ones(5), np.arange(5.0)) is None


def test_the_metric_that_the_listeners_follow_comes_first(folders, tmp_path):
    evaluations = load_evaluations(folders)
    followed = values_of(evaluations, "lsd")  # less is better
    low, high = min(followed.values()), max(followed.values())
    ratings = write_ratings(tmp_path / "r.csv", lambda *s: 100 * (high - followed[s]) / (high - low), followed)
    found = {each.metric: each for each in agreements(evaluations, ratings)}
    first = next(iter(found.values()))
    assert found["lsd"].tau == 1 and found["lsd"].low == found["lsd"].high == 1 == first.tau
    assert (first.instrument, first.n_stimuli, first.n_tracks) == ("instrument", 16, 4)
    values = values_of(evaluations, "sdr")
    expected = scipy.stats.kendalltau([values[s] for s in followed], [-followed[s] for s in followed]).statistic
    assert found["sdr"].tau == pytest.approx(expected) and found["sdr"].low <= expected <= found["sdr"].high


def test_instruments_stand_apart(folders, tmp_path):
    files = []
    for folder, target in zip(folders[:2], ("guitar", "piano"), strict=True):
        record = yaml.safe_load((folder / "evaluation.yaml").read_text())
        files.append(tmp_path / target / "evaluation.yaml")
        files[-1].parent.mkdir()
        files[-1].write_text(yaml.safe_dump({**record, "target": target}))
    evaluations = load_evaluations(files)
    values = values_of(evaluations, "si_sdr")
    found = agreements(evaluations, write_ratings(tmp_path / "r.csv", lambda *s: values[s] + 60, values))
    best = {each.instrument: each for each in found if each.metric == "si_sdr"}
    assert best["guitar"].tau == best["piano"].tau == 1 and best["piano"].n_stimuli == 8


def test_the_report_shows_it_and_unreliable_or_foreign_ratings_are_refused(folders, tmp_path):
    values = values_of(load_evaluations(folders), "si_sdr")
    ratings = write_ratings(tmp_path / "r.csv", lambda *s: values[s] + 60, values)
    arguments = ["report", *map(str, folders), "-o", str(tmp_path / "out"), "--json", "--ratings"]
    files = json.loads(CliRunner().invoke(cli, [*arguments, str(ratings)]).stdout)
    page, text = (Path(path).read_text(encoding="utf-8") for path in files[:2])
    assert "Metrics and ears" in page and "+1.00 to +1.00" in page and "| SI-SDR" in text
    careless = write_ratings(tmp_path / "careless.csv", lambda *s: 50, values, reference=20)
    for path, match in ((careless, "no 4 ratings"), (tmp_path / "none.csv", "splitstrument listen")):
        with pytest.raises(DatasetError, match=match):
            agreements(load_evaluations(folders), path)
