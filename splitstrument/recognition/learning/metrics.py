"""How good answers are: average precision, F1 at thresholds chosen elsewhere, area under the curve.

Labels are (n, n_classes): 1, 0, or NaN where nobody knows, which never counts. Hamming accuracy is not here: where an
instrument plays a tenth of the time, answering never is right nine times in ten.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from splitstrument.spectrogram import Float


@dataclass(frozen=True)
class ClassScore:
    """Scores of one class; None where no example has it, or all have.

    Attributes
    ----------
    share
        Of the known examples that have the class: what average precision guessing gets.
    """

    n_known: int
    share: float | None
    f1: float | None
    average_precision: float | None
    auc: float | None


def f1_score(labels: Float, answers: NDArray[np.bool_]) -> float | None:
    """F1 of yes/no answers over known labels, of one class or of all; None where nothing is true and nothing said."""
    known = ~np.isnan(labels)
    true, said = labels[known] > 0.5, answers[known]
    n_both, n_sum = int((true & said).sum()), int(true.sum() + said.sum())
    return 2 * n_both / n_sum if n_sum else None


def average_precision(labels: Float, scores: Float) -> float | None:
    """Mean precision at each true example, by falling score; equal scores count as one step."""
    true, scores = _known(labels, scores)
    if not true.any():
        return None
    order = np.argsort(-scores, kind="stable")
    last = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    n_true = np.cumsum(true[order])[last]
    precision = n_true / (last + 1)
    return float(np.sum(np.diff(n_true, prepend=0) * precision) / true.sum())


def area_under_curve(labels: Float, scores: Float) -> float | None:
    """Probability that a true example scores higher than one that is not; ties count half."""
    true, scores = _known(labels, scores)
    n_true, n_false = int(true.sum()), int((~true).sum())
    if not n_true or not n_false:
        return None
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    return float((ranks[true].sum() - n_true * (n_true + 1) / 2) / (n_true * n_false))


def best_threshold(labels: Float, scores: Float) -> float:
    """The threshold of the highest F1; 0.5 where no example is true."""
    true, scores = _known(labels, scores)
    if not true.any():
        return 0.5
    order = np.argsort(-scores, kind="stable")
    n_true, n_said = np.cumsum(true[order]), np.arange(1, len(order) + 1)
    f1 = 2 * n_true / (n_said + true.sum())
    f1[:-1][np.diff(scores[order]) == 0] = 0  # a threshold cannot part equal scores
    best = int(np.argmax(f1))
    lower = scores[order][best + 1] if best + 1 < len(order) else scores[order][best] - 1e-3
    return float((scores[order][best] + lower) / 2)


def score_class(labels: Float, scores: Float, threshold: float) -> ClassScore:
    """All scores of one class: labels and scores (n,)."""
    known = labels[~np.isnan(labels)]
    share = float(known.mean()) if len(known) else None
    if not share or share == 1:
        return ClassScore(len(known), share, None, None, None)
    f1 = f1_score(labels, scores >= threshold)
    return ClassScore(len(known), share, f1, average_precision(labels, scores), area_under_curve(labels, scores))


def mean_of(values: list[float | None]) -> float | None:
    """Mean of those that are there."""
    there = [value for value in values if value is not None]
    return float(np.mean(there)) if there else None


def _known(labels: Float, scores: Float) -> tuple[np.ndarray, Float]:
    known = ~np.isnan(labels)
    return labels[known] > 0.5, np.asarray(scores)[known]
