"""Every family of metrics keeps one contract, and a package of the user's own adds one."""

from __future__ import annotations

import csv
import os
import subprocess
import sys

import numpy as np
import pytest
from evaluation_helpers import RATE, good_estimates, make_references, write_estimates, write_pair
from plugin_package import install_package

from splitstrument.evaluation.metrics.metric import Block, Track
from splitstrument.evaluation.metrics.registry import FAMILIES, metrics
from splitstrument.evaluation.metrics.score import score_pair

PLUGIN = """
import numpy as np
from splitstrument.evaluation.metrics.metric import Family, Metric, for_each_estimate

class Peak:
    def __init__(self, track):
        self.highest = 0.0

    def add(self, reference, estimate, mixture):
        self.highest = max(self.highest, float(np.abs(estimate).max()))

    def scores(self):
        return {"peak": self.highest}

PEAK = Metric("peak", "peak", "", "neither", True, "highest absolute sample", "nobody", "everything else")
FAMILY = Family((PEAK,), for_each_estimate(Peak))
TAKEN = Family((Metric("sdr", "SDR", "dB", "higher", True, "mine", "me", "you"),), for_each_estimate(Peak))
NONE = 3
"""
POINTS = {"peak": "user_metrics:FAMILY", "taken": "user_metrics:TAKEN", "none": "user_metrics:NONE"}


def values_of(family, references, estimates):
    """What a family's meter gives for two systems, in blocks of two lengths."""
    track = Track(len(estimates), references.shape[2], RATE, frozenset(metrics()))
    meter = family.open(track)
    blocks = [slice(start, start + 3000) for start in range(0, references.shape[1], 3000)]
    for part in blocks:
        meter.add(Block(references[:, part], estimates[:, :, part]))
    if meter.end_pass():
        for part in blocks:
            meter.add_again(Block(references[:, part], estimates[:, :, part]))
    meter.finish()
    return [[meter.scores(system, source) for source in range(2)] for system in range(len(estimates))]


@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_keeps_the_contract(name, rng):
    family = FAMILIES.get(name)
    references = make_references(rng, 2.5)
    references[0, RATE // 2 : 2 * RATE] = 0  # so that there is a silent second
    bad, good = (good_estimates(references, rng, level) for level in (0.6, 0.05))
    silent = np.stack([0 * good[0], good[1]])
    estimates = np.stack([bad, good, references, silent])
    before = references.copy(), estimates.copy()
    worse, better, perfect, nothing = values_of(family, references, estimates)
    np.testing.assert_array_equal(references, before[0])
    np.testing.assert_array_equal(estimates, before[1])
    for metric in family.metrics:
        assert all(
            len(text) > 1 for text in (metric.key, metric.label, metric.definition, metric.source, metric.blind_to)
        )
        for source in range(2):
            low, high, best = (values[source][metric.key] for values in (worse, better, perfect))
            if metric.better == "neither" or None in (low, high, best):
                continue
            sign = 1 if metric.better == "higher" else -1
            assert sign * low < sign * high <= sign * best, metric.key
        value = nothing[0][metric.key]
        assert value is None or not np.isnan(value), metric.key
    assert set(worse[0]) == {metric.key for metric in family.metrics}


def test_other_systems_change_no_value(rng):
    """What is computed for all systems at once is what is computed for one alone."""
    references = make_references(rng, 1.5, 2)
    estimates = np.stack([good_estimates(references, rng), np.repeat(references.sum(axis=0)[None], 2, axis=0)])
    for name in ("bss_eval", "distortion", "bleed", "log_wmse"):
        together = values_of(FAMILIES.get(name), references, estimates)
        alone = values_of(FAMILIES.get(name), references, estimates[:1])
        for source in range(2):
            assert together[0][source] == pytest.approx(alone[0][source], abs=1e-6), name


def test_a_package_of_ones_own_adds_a_metric(tmp_path, rng):
    install_package(tmp_path / "site", "user-metrics", {"user_metrics.py": PLUGIN}, {"splitstrument.metrics": POINTS})
    references = make_references(rng, 1.0)
    write_pair(tmp_path / "references", "song", references)
    write_estimates(tmp_path / "estimates", "song", good_estimates(references, rng))
    folders = [str(tmp_path / name) for name in ("references", "estimates", "out")]
    flags = ["--no-v4", "--no-baselines", "--quiet"]
    command = [sys.executable, "-m", "splitstrument", "score", *folders[:2], "-o", folders[2], *flags]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path / "site")}
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    (row, _) = csv.DictReader((tmp_path / "out" / "evaluation.csv").open())
    assert 0.05 < float(row["peak"]) < 1.5 and float(row["sdr"]) > 5
    assert "peak: highest absolute sample." in run.stdout
    assert "'taken' has a metric 'sdr', which exists" in run.stdout and "'none'" in run.stdout
    plugin = tmp_path / "site" / "user_metrics.py"
    plugin.write_text(PLUGIN.replace("return {", "return {'peak': 100.0} or {"))  # an edited metric is computed anew
    subprocess.run(command, env=environment, capture_output=True, check=True)
    assert float(next(csv.DictReader((tmp_path / "out" / "evaluation.csv").open()))["peak"]) == 100
    plugin.write_text(PLUGIN.replace("float(np.abs", "float(np.apse"))
    broken = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert broken.returncode == 1 and "Traceback" not in broken.stderr
    assert f"{plugin} failed (line 10, AttributeError: module 'numpy' has no attribute 'apse'" in (
        broken.stderr + broken.stdout
    )


def test_scores_have_every_metric_in_the_order_of_the_registry(rng):
    references = make_references(rng, 1.0)
    score = score_pair(references, references, RATE, framewise=False)
    assert list(score["rest"]) == list(metrics())
    assert score["rest"]["sdr_v4"] is None and score["rest"]["fullness"] == 100
