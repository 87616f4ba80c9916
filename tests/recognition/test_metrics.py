"""Metrics of the recogniser, against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from splitstrument.recognition.learning.metrics import (
    area_under_curve,
    average_precision,
    best_threshold,
    f1_score,
    score_class,
)


@pytest.fixture
def labelled(rng):
    """Labels with unknowns, and scores with ties."""
    labels = (rng.random(300) < 0.2).astype(np.float32)
    scores = np.round(labels * 0.4 + rng.random(300), 1)
    unknown = rng.random(300) < 0.1
    return np.where(unknown, np.nan, labels).astype(np.float32), scores, ~unknown


def test_precision_and_area_are_those_of_scikit_learn(labelled):
    metrics = pytest.importorskip("sklearn.metrics")
    labels, scores, known = labelled
    expected = metrics.average_precision_score(labels[known], scores[known])
    assert average_precision(labels, scores) == pytest.approx(expected)
    assert area_under_curve(labels, scores) == pytest.approx(metrics.roc_auc_score(labels[known], scores[known]))


def test_the_best_threshold_has_the_highest_f1(labelled):
    labels, scores, _ = labelled
    best = f1_score(labels, scores >= best_threshold(labels, scores))
    assert best == pytest.approx(max(f1_score(labels, scores >= t) for t in np.arange(-0.05, 2, 0.1)))


def test_what_is_unknown_never_counts():
    labels = np.array([1, 0, np.nan, np.nan], np.float32)
    one, other = (f1_score(labels, np.array([True, False, said, said])) for said in (True, False))
    assert one == other == 1


def test_answering_never_is_worth_nothing():
    labels = np.array([[1, 0, 0, 0, 0, 0, 0, 0, 0, 0]] * 3, np.float32)
    assert f1_score(labels, np.zeros_like(labels, bool)) == 0


def test_a_class_that_nobody_plays_has_no_score():
    score = score_class(np.zeros(5, np.float32), np.linspace(0, 1, 5), 0.5)
    assert (score.f1, score.average_precision, score.auc) == (None, None, None)
