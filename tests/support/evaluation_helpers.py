"""Small pairs of real-looking signals for the tests of the evaluation room."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from splitstrument import audio

RATE = 8000


def make_references(rng: np.random.Generator, seconds: float = 3.0, n_channels: int = 1) -> np.ndarray:
    """Instrument: decaying harmonic notes with pauses; rest: coloured noise and a bass. (2, n_samples, n_channels)."""
    n_samples = round(seconds * RATE)
    time = np.arange(n_samples) / RATE
    instrument = np.zeros(n_samples)
    for start in np.arange(0, seconds, 0.5):
        if rng.random() < 0.8:
            pitch = 110 * 2 ** (rng.integers(12, 30) / 12)
            since = np.maximum(0, time - start)
            note = sum(np.sin(2 * np.pi * k * pitch * since) / k for k in range(1, 6))
            instrument += np.where(time >= start, note * np.exp(-5 * since), 0)
    noise = np.convolve(rng.standard_normal(n_samples), np.ones(3) / 3, "same")
    rest = 0.3 * noise + 0.4 * np.sin(2 * np.pi * 70 * time)
    pan = np.linspace(1, 0.6, n_channels)
    return np.stack([0.2 * instrument[:, None] * pan, 0.2 * rest[:, None] * pan[::-1]]).astype(np.float32)


def write_pair(folder: Path, name: str, references: np.ndarray, rate: int = RATE) -> None:
    """Write <folder>/<name>/{instrument,rest}_<name>.wav."""
    for source, signal in zip(("instrument", "rest"), references, strict=True):
        audio.write(folder / name / f"{source}_{name}.wav", signal, rate, "FLOAT")


def write_estimates(folder: Path, name: str, estimates: np.ndarray, rate: int = RATE) -> None:
    """Write <folder>/<name>/{instrument,rest}.wav, as `splitstrument separate` names them."""
    for source, signal in zip(("instrument", "rest"), estimates, strict=True):
        audio.write(folder / name / f"{source}.wav", signal.astype(np.float32), rate, "FLOAT")


def good_estimates(references: np.ndarray, rng: np.random.Generator, level: float = 0.1) -> np.ndarray:
    """Each source with some of the other one and some noise."""
    noise = level * references.std() * rng.standard_normal(references.shape)
    return (references + level * references[::-1] + noise).astype(np.float32)


def museval_metrics():
    """museval's metrics without its package, which insists on ffmpeg when it is imported."""
    package = importlib.util.find_spec("museval")
    if package is None:
        return None
    path = Path(package.submodule_search_locations[0]) / "metrics.py"
    spec = importlib.util.spec_from_file_location("museval_metrics", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
