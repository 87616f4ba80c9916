"""A small stem set and a training on it, for the tests of networks that answer several instruments."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from splitstrument.stem_set import SetTrack, write_files, write_listing
from splitstrument.training.settings import TrainingSettings

RATE_HZ = 8000
MODEL = {
    "spectrogram": {"sample_rate_hz": RATE_HZ, "n_fft": 128},
    "n_frames": 16,
    "normalisation": "none",
    "target": "guitar",
    "stems": ["guitar", "bass", "other"],
    "channels": "mid_side",
    "network": {"kind": "bandunet", "folds": [2, 4], "width": 8, "growth": 4, "levels": 2, "inputs": 2, "outputs": 6},
}
EVERYTHING = {
    "remix": 0.7, "double": 0.5, "gain_db": [-10, 6], "place": 0.5, "width": 0.3, "mono": 0.2, "swap": 0.5,
    "inverted": 0.2, "polarity": 0.5, "speed": 0.1, "absent": 0.1, "solo": 0.1, "drive": 0.3, "room": 0.3,
    "comb": 0.3, "formant": 0.5, "envelope": 0.5, "equalizer_db": 12, "low_pass": 0.3,
}  # fmt: skip
TONES_HZ = {"guitar": 700, "bass": 90, "other": 1900}


def make_set(folder: Path, names: str = "abc", parts: str = "", seconds: float = 2.0) -> Path:
    """Songs of three stems; of ``r`` only the guitar is known, and it has no bass file."""
    tracks = []
    for index, name in enumerate(names):
        stems = ("guitar", "other") if name == "r" else ("guitar", "bass", "other")
        known = ("guitar",) if name == "r" else ("guitar", "piano", "bass", "drums", "voice", "other")
        write_files(folder, name, {stem: _sound(stem, ord(name), seconds + 0.1 * index) for stem in stems}, RATE_HZ)
        part = "validation" if name in parts else "train"
        tracks.append(SetTrack(name, known, stems, f"song {name}", part, 0, seconds + 0.1 * index))
    write_listing(folder, RATE_HZ, tracks)
    return folder


def _sound(stem: str, seed: int, seconds: float) -> np.ndarray:
    """A tone that comes and goes under some noise, wider than mono: (n_samples, 2)."""
    rng, time_s = np.random.default_rng([seed, TONES_HZ[stem]]), np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    tone = np.sin(2 * np.pi * (TONES_HZ[stem] + seed) * time_s) * (1.3 + np.sin(5 * time_s + seed)) / 2
    noise = 0.03 * rng.standard_normal((len(time_s), 2))
    return (0.2 * (tone[:, None] * rng.uniform(0.5, 1, 2) + noise)).astype(np.float32)


def stem_settings(*datasets: Any, **changes: Any) -> TrainingSettings:
    """Settings of a training on stem sets that takes seconds."""
    data = {
        "name": "stems",
        "model": MODEL,
        "datasets": [{"path": str(item)} if isinstance(item, Path) else item for item in datasets],
        "data": {"source": "stems", "workers": 1, "validation_chunks": 2},
        "loss": {"name": "stem_error"},
        "mixing": EVERYTHING,
        "batch_size": 2,
        "epochs": 2,
        "steps_per_epoch": 2,
        "optimizer": {"learning_rate": 1e-2},
        "doctor": "warn",
        **changes,
    }
    return TrainingSettings.model_validate(data)
