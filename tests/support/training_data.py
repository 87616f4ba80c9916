"""Small pair datasets and settings for the tests of the training room."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from splitstrument import audio
from splitstrument.training.settings import TrainingSettings

RATE_HZ = 8000
TINY_MODEL = {
    "spectrogram": {"sample_rate_hz": RATE_HZ, "n_fft": 128},
    "n_frames": 16,
    "network": {"kind": "hourglass", "filters": 4, "levels": 1, "initial_widths": [4], "end_width": 4, "dropout": 0.2},
}


def make_pairs(
    folder: Path, names: list[str], rng: np.random.Generator, seconds: float = 1.5, rate_hz: int = RATE_HZ
) -> Path:
    """Write pairs of a low tone (instrument) under noise (rest), a little longer from track to track."""
    for index, name in enumerate(names):
        n_samples = int((seconds + 0.1 * index) * rate_hz)
        time_s = np.arange(n_samples) / rate_hz
        tone = 0.4 * np.sin(2 * np.pi * (200 + 30 * index) * time_s) * (1 + np.sin(7 * time_s)) / 2
        noise = 0.1 * rng.standard_normal(n_samples)
        for stem, samples in (("instrument", tone), ("rest", noise)):
            path = folder / f"tracks_{rate_hz}hz" / name / f"{stem}_{name}.wav"
            audio.write(path, samples[:, None].astype(np.float32), rate_hz, "FLOAT")
    return folder


def tiny_settings(*datasets: Any, **changes: Any) -> TrainingSettings:
    """Settings of a training that takes a second."""
    data = {
        "name": "tiny",
        "model": TINY_MODEL,
        "datasets": [{"path": str(item)} if isinstance(item, Path) else item for item in datasets],
        "batch_size": 2,
        "epochs": 2,
        "optimizer": {"learning_rate": 1e-2},
        "validation_ratio": 0.34,
        **changes,
    }
    return TrainingSettings.model_validate(data)
