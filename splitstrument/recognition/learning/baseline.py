"""What a recogniser has to beat: support vector machines on statistics of classic features."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from splitstrument.errors import missing_extra
from splitstrument.recognition.features import CHUNK_STEPS, HIGHEST_HZ, LOWEST_HZ, N_MELS, to_network
from splitstrument.recognition.learning.examples import window_labels
from splitstrument.recognition.learning.overlay import Drawer
from splitstrument.spectrogram import Float

N_MFCC = 20
ROLLOFF = 0.85


def classic_features(features: Float) -> Float:
    """Statistics of one excerpt (n_frames, n_mels): MFCC and their slopes, centroid, roll-off, flatness and level.

    Returns
    -------
    (4 * 20 + 2 * 4,) float32
    """
    import librosa

    decibels = features.astype(np.float32) * 20 - 40
    mfcc = librosa.feature.mfcc(S=decibels.T, n_mfcc=N_MFCC)
    slopes = librosa.feature.delta(mfcc)
    power = np.power(10.0, decibels / 10)
    whole = power.sum(axis=1, keepdims=True)
    bands = np.linspace(np.log(LOWEST_HZ), np.log(HIGHEST_HZ), N_MELS)
    centroid = (power @ bands) / whole[:, 0]
    rolloff = (np.cumsum(power, axis=1) < ROLLOFF * whole).sum(axis=1)
    flatness = decibels.mean(axis=1) - 10 * np.log10(power.mean(axis=1))
    level = decibels.mean(axis=1)
    rows = [*mfcc, *slopes, centroid, rolloff, flatness, level]
    return np.array([[row.mean(), row.std()] for row in rows], np.float32).ravel()


def drawn_examples(drawer: Drawer, count: int) -> tuple[Float, Float]:
    """Classic features and labels of `count` overlays, such as the network learns from."""
    rows, labels = [], []
    for _ in range(count):
        one = drawer.draw()
        rows.append(classic_features(to_network(one.mels)))
        labels.append(window_labels(one.labels[:CHUNK_STEPS]))
    return np.stack(rows), np.stack(labels)


@dataclass(frozen=True)
class Baseline:
    """One machine for each class; None where its class never came up."""

    machines: list[Any]

    def scores(self, features: Float) -> Float:
        """Distances from the border: features (n, n_frames, n_mels) to (n, n_classes)."""
        rows = np.stack([classic_features(one) for one in features])
        columns = [np.zeros(len(rows)) if one is None else one.decision_function(rows) for one in self.machines]
        return np.stack(columns, axis=1)


def fit(rows: Float, labels: Float) -> Baseline:
    """Fit a support vector machine (radial basis functions, balanced classes) for each class."""
    try:
        from sklearn.pipeline import make_pipeline
        from sklearn.preprocessing import StandardScaler
        from sklearn.svm import SVC
    except ImportError:
        raise missing_extra("The baseline", "train") from None
    machines: list[Any] = []
    for column in labels.T:
        known = ~np.isnan(column)
        if len(np.unique(column[known])) < 2:
            machines.append(None)
            continue
        machine = make_pipeline(StandardScaler(), SVC(C=5.0, class_weight="balanced", cache_size=500))
        machines.append(machine.fit(rows[known], column[known]))
    return Baseline(machines)
